// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package authorizer

import (
	"cmp"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strings"
	"time"

	"noderestriction.plus/internal/auditlog"
	"noderestriction.plus/internal/authorization"
	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/rbac"
	"noderestriction.plus/internal/text"
)

const (
	// maxFindings is how many kinds of requests are distinguished. Others are counted together.
	maxFindings = 2000
	// maxKubelets is how many kubelets are distinguished. Others are not counted.
	maxKubelets = 20_000
	// maxText is how many bytes of a text of the log are kept.
	maxText = 256
	// reasonWidth is where a long user agent or reason continues in another line.
	reasonWidth = 60
)

// Effect is what the entry does to requests in an audit log.
type Effect string

// Effects of the entry.
const (
	Denied Effect = "denied" // they are allowed, and would be denied
	Maybe  Effect = "maybe"  // they are allowed by an authorizer that was asked before Node; Node allows some of their kind, too
	Error  Effect = "error"  // they are forbidden, and would get an internal error instead
)

// Kind is what requests of one finding have in common.
type Kind struct {
	Effect    Effect `json:"effect"`
	Verb      string `json:"verb"`
	Target    string `json:"target"` // such as leases.coordination.k8s.io, or a path
	UserAgent string `json:"userAgent"`
	Reason    string `json:"reason"` // of the authorizer that has decided
}

// Finding is a kind of requests of kubelets.
type Finding struct {
	Kind
	Requests int       `json:"requests"`
	Kubelets int       `json:"kubelets"` // users
	Example  string    `json:"example"`  // namespace and name of an object; may be empty
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`

	users big.Int // a bit for each
}

// Report says what an entry would deny.
type Report struct {
	command.List[*Finding]
	// Problems are what is wrong with the configuration. Nil: there was no configuration.
	Problems *[]string `json:"configurationProblems,omitempty"`
	// Grants are the bindings that give kubelets what the entry denies. Nil: there were no roles and bindings.
	Grants   *[]Grant `json:"grants,omitempty"`
	Requests int      `json:"requests"` // of kubelets
	Kubelets int      `json:"kubelets"` // users
	Node     int      `json:"allowedByNode"`
	Kept     int      `json:"kept"`    // allowed by other authorizers, and not denied by the entry
	Failed   int      `json:"failed"`  // an authorizer returned an error: the entry itself, where it is in force
	More     int      `json:"more"`    // requests with an effect, beyond the kinds that are distinguished
	Entries  int      `json:"entries"` // of the audit logs
	// WithoutSelector is how many lists and watches may have had a field selector that their log does not keep.
	WithoutSelector int `json:"withoutSelector,omitempty"`
	Unread          int `json:"unreadableEntries"`

	entry    *Entry
	users    map[string]int // numbers, from 0
	findings map[Kind]*Finding
	intent   *intents
	rbac     rbac.Snapshot
	// others is true if another authorizer has allowed what every Node authorizer allows: it was asked first.
	others bool
}

// newReport returns an empty report about an entry, for API servers of a minor release of Kubernetes 1, or of any release if that is 0.
func newReport(e *Entry, minor int) (*Report, error) {
	intent, err := newIntents(minor)
	return &Report{
		List:  command.NewList[*Finding]("AuthorizerFindingList", nil),
		entry: e, users: map[string]int{}, findings: map[Kind]*Finding{}, intent: intent,
	}, err
}

// addConfiguration adds what is wrong with the configuration.
func (r *Report) addConfiguration(problems []string) {
	if problems == nil {
		problems = []string{}
	}
	r.Problems = &problems
}

// newLog returns an audit log that passes on the answers to kubelets.
func newLog(format auditlog.Format) *auditlog.Log {
	log := auditlog.NewLog(format)
	log.Want = func(e *auditlog.Event) bool {
		return e.Stage != auditlog.RequestReceived && strings.HasPrefix(e.Client().Username, authorization.NodeUserPrefix)
	}
	return log
}

// readLogs reads audit logs.
func (r *Report) readLogs(inputs *command.Inputs, log *auditlog.Log, files []string) error {
	answers := auditlog.NewAnswers()
	for _, file := range files {
		if err := readFile(inputs, file, func(f io.Reader) error {
			return log.Read(f, func(event *auditlog.Event) error {
				if answers.IsFirst(event) {
					r.add(event)
				}
				return nil
			})
		}); err != nil {
			return fmt.Errorf("--audit-log: %s: %w", command.Title(file), err)
		}
	}
	r.Entries, r.Unread = log.Entries, log.Unreadable
	return nil
}

func readFile(inputs *command.Inputs, file string, read func(io.Reader) error) error {
	f, err := inputs.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	return read(f)
}

// add counts a request of a kubelet.
func (r *Report) add(event *auditlog.Event) {
	r.Requests++
	user := r.number(event.Client().Username)
	request := event.Request()
	if event.Format == auditlog.GKE && (request.Verb == "list" || request.Verb == "watch") {
		r.WithoutSelector++
	}
	denies := r.entry.Denies(&request)
	switch {
	case event.Decision() == "":
		r.Failed++
	case event.Decision() == auditlog.Forbid && denies:
		r.find(Error, event, &request, user)
	case event.Decision() == auditlog.Forbid:
		// RBAC answers as before.
	default:
		r.addAllowed(event, &request, user, denies)
	}
}

// addAllowed counts a request that an authorizer has allowed. The Node authorizer gives no reason, nor do some others.
func (r *Report) addAllowed(event *auditlog.Event, request *authorization.Request, user int, denies bool) {
	node := r.intent.of(strings.TrimPrefix(event.Client().Username, authorization.NodeUserPrefix), request)
	switch {
	case event.Reason() == "" && node != never:
		r.Node++
	case !denies:
		r.Kept++
	case node == surely: // another authorizer was asked before Node
		r.others = true
		r.Node++
	case node == perhaps:
		r.find(Maybe, event, request, user)
	default:
		r.find(Denied, event, request, user)
	}
}

// number returns the number of a kubelet, or -1 if there are too many.
func (r *Report) number(user string) int {
	user = text.Cut(user, maxText)
	n, known := r.users[user]
	if !known {
		if n = len(r.users); n == maxKubelets {
			return -1
		}
		r.users[user] = n
	}
	return n
}

// find counts a request as one of a kind.
func (r *Report) find(effect Effect, event *auditlog.Event, request *authorization.Request, user int) {
	kind := Kind{
		Effect: effect, Verb: shown(event.Verb), Target: shown(request.GroupResource()),
		UserAgent: shown(event.UserAgent), Reason: shown(event.Reason()),
	}
	f := r.findings[kind]
	if f == nil {
		if len(r.findings) == maxFindings {
			r.More++
			return
		}
		f = &Finding{Kind: kind, First: event.Received}
		r.findings[kind] = f
	}
	f.Requests++
	if user >= 0 && f.users.Bit(user) == 0 {
		f.users.SetBit(&f.users, user, 1)
		f.Kubelets++
	}
	if f.Example == "" && request.Name != "" {
		f.Example = shown(strings.TrimPrefix(request.Namespace+"/"+request.Name, "/"))
	}
	if event.Received.Before(f.First) {
		f.First = event.Received
	}
	if event.Received.After(f.Last) {
		f.Last = event.Received
	}
}

// shown bounds a text of the log and makes it printable.
func shown(s string) string { return text.Printable(text.Cut(s, maxText)) }

// finish sorts what was found: by effect, the most frequent first.
func (r *Report) finish() {
	r.Kubelets = len(r.users)
	for _, f := range r.findings {
		if f.Effect == Maybe && !r.others { // Node was asked first, and had no opinion
			f.Effect = Denied
		}
		r.Items = append(r.Items, f)
	}
	rank := func(e Effect) int { return slices.Index([]Effect{Denied, Maybe, Error}, e) }
	slices.SortFunc(r.Items, func(a, b *Finding) int {
		return cmp.Or(
			cmp.Compare(rank(a.Effect), rank(b.Effect)), cmp.Compare(b.Requests, a.Requests),
			strings.Compare(a.Target, b.Target), strings.Compare(a.Verb, b.Verb), strings.Compare(a.UserAgent, b.UserAgent),
			strings.Compare(a.Reason, b.Reason),
		)
	})
}

// err is the error of the command.
func (r *Report) err(logs bool) error {
	denied := r.kinds(Denied) + r.kinds(Maybe)
	switch {
	case logs && r.Requests == 0:
		return fmt.Errorf("there is no answer to a kubelet in %d entries: is it the audit log of an API server?", r.Entries)
	case r.Problems != nil && len(*r.Problems) > 0:
		return command.No("the configuration is not as it must be")
	case r.Grants != nil && len(*r.Grants) > 0 && denied == 0:
		return command.No("the entry would deny what bindings give to kubelets")
	case denied > 0 || r.More > 0:
		return command.No("the entry would deny requests that are allowed now")
	}
	return nil
}

// count is a number with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// kinds returns how many kinds of requests have an effect.
func (r *Report) kinds(effect Effect) int {
	n := 0
	for _, f := range r.Items {
		if f.Effect == effect {
			n++
		}
	}
	return n
}

func (r *Report) writeText(w io.Writer) error {
	var b strings.Builder
	if r.Problems != nil {
		if len(*r.Problems) == 0 {
			b.WriteString("The configuration has the entry directly behind Node, as generate makes it.\n")
		}
		for _, problem := range *r.Problems {
			fmt.Fprintf(&b, "configuration: %s\n", problem)
		}
	}
	if err := r.writeGrants(&b); err != nil {
		return err
	}
	if r.Entries > 0 {
		fmt.Fprintf(&b, "%s of %s: %d that Node allows, %d that others allow and the entry does not deny.\n",
			count(r.Requests, "request"), count(r.Kubelets, "kubelet"), r.Node, r.Kept)
		if r.Failed > 0 {
			fmt.Fprintf(&b, "%s got an internal error from an authorizer: from the entry, where it is in force.\n",
				count(r.Failed, "request"))
		}
		if r.WithoutSelector > 0 {
			fmt.Fprintf(&b, "The audit log has no field selectors: %s may be allowed by Node, and not be denied.\n",
				count(r.WithoutSelector, "list or watch request"))
		}
		if r.Unread > 0 {
			fmt.Fprintf(&b, "%d of %d entries of the audit log cannot be read.\n", r.Unread, r.Entries)
		}
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return err
	}
	for _, section := range []struct {
		effect  Effect
		heading string
	}{
		{Denied, "Allowed now, and denied by the entry:"},
		{Maybe, "Allowed now by an authorizer that was asked before Node; denied by the entry unless Node allows it, too:"},
		{Error, "Forbidden now, and an internal error with the entry:"},
	} {
		if err := r.writeSection(w, section.effect, section.heading); err != nil {
			return err
		}
	}
	if r.More > 0 {
		_, err := fmt.Fprintf(w, "\n%d more requests, of kinds beyond the first %d.\n", r.More, maxFindings)
		return err
	}
	return nil
}

func (r *Report) writeSection(w io.Writer, effect Effect, heading string) error {
	if r.kinds(effect) == 0 {
		return nil
	}
	if _, err := fmt.Fprintf(w, "\n%s\n\n", heading); err != nil {
		return err
	}
	table := command.Table{Header: []string{"VERB", "WHAT", "REQUESTS", "KUBELETS", "LAST", "USER AGENT", "REASON"}}
	for _, f := range r.Items {
		if f.Effect != effect {
			continue
		}
		what := f.Target
		if f.Example != "" {
			what += "\n  such as " + f.Example
		}
		table.Add(f.Verb, what, fmt.Sprint(f.Requests), fmt.Sprint(f.Kubelets), f.Last.UTC().Format(time.RFC3339),
			command.WrapHanging(f.UserAgent, "  ", reasonWidth), command.WrapHanging(f.Reason, "  ", reasonWidth))
	}
	return table.Write(w)
}
