// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package replays

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/replay"
)

// AccountCount counts the writes of a client that is no kubelet, for a person who decides whether a policy may name it as a subject.
type AccountCount struct {
	Kind    string   `json:"kind"`    // serviceAccount, prefix or user
	Account string   `json:"account"` // namespace/name of a service account, or a user name; a prefix ends in "*"
	NamedBy []string `json:"namedBy"` // the policies whose subjects name it
	Writes  int      `json:"writes"`
	// Each write is in one of these, by what its credential says about a node.
	WithNode  int `json:"withNode"`
	Unbound   int `json:"unboundToken,omitempty"`
	Secret    int `json:"tokenOfSecret,omitempty"`
	Several   int `json:"severalNodes,omitempty"`
	NotLogged int `json:"nodeNotLogged,omitempty"`
	NoAccount int `json:"noServiceAccount,omitempty"`
	// Each write whose credential names a node is in one of these, by the node that its object is of.
	Own          int `json:"ownNode"`
	Across       int `json:"otherNode,omitempty"`
	NoNode       int `json:"noNode,omitempty"`
	UnknownPlace int `json:"unknownNode,omitempty"`

	Nodes       int       `json:"nodes"`                // that credentials name
	AcrossNodes int       `json:"otherNodes,omitempty"` // whose objects are written from elsewhere
	WritesTo    []string  `json:"writesTo"`             // the kinds of writes; at most 16
	UserAgents  []string  `json:"userAgents"`           // at most 8
	First       time.Time `json:"first"`
	Last        time.Time `json:"last"`
	// Breaks are what a policy would break that names the account with its defaults, in sentences without a period. None: nothing.
	Breaks []string `json:"breaks"`
}

// Kinds of accounts.
const (
	kindServiceAccount = "serviceAccount"
	kindPrefix         = "prefix"
	kindUser           = "user"
)

const (
	// maxWritesTo and maxAgents bound what is listed of an account.
	maxWritesTo = 16
	maxAgents   = 8
	breaksWidth = 60

	accountPrefix = "system:serviceaccount:"
	separator     = ":"
)

// accounts counts writes of clients that are no kubelets.
type accounts struct {
	byUser map[string]*account
	more   int // writes of accounts that are not counted apart
}

// account counts the writes of a user.
type account struct {
	AccountCount
	// prefix is the user name up to the last colon, and hasOwn says that the rest was the name of the node that a write was about.
	prefix        string
	hasOwn        bool
	nodes, across map[string]bool
	writesTo      map[string]bool
	agents        map[string]bool
}

func newAccounts() *accounts { return &accounts{byUser: map[string]*account{}} }

// add counts a write.
func (s *accounts) add(w *replay.AgentWrite) {
	a := s.byUser[w.User]
	if a == nil {
		if len(s.byUser) == maxNames {
			s.more++
			return
		}
		a = newAccount(w.User)
		a.First, a.Last = w.Time, w.Time
		s.byUser[strings.Clone(w.User)] = a
	}
	a.Writes++
	node := w.Node
	switch w.Credential {
	case replay.NamesNode:
		a.WithNode++
	case replay.NamesSeveral:
		a.Several++
	case replay.IsSecret:
		a.Secret++
	case replay.IsNotLogged:
		a.NotLogged++
	case replay.IsUnbound:
		a.Unbound++
	case replay.IsNoToken:
		a.NoAccount++
		node = strings.TrimPrefix(w.User, a.prefix) // if it turns out to be a prefix
	}
	a.place(w, node)
	resource := w.Resource
	if w.Subresource != "" {
		resource += "/" + w.Subresource
	}
	note(a.writesTo, string(w.Operation)+" "+value(resource), maxWritesTo)
	note(a.agents, value(w.UserAgent), maxAgents)
	if w.Time.Before(a.First) {
		a.First = w.Time
	}
	if w.Time.After(a.Last) {
		a.Last = w.Time
	}
}

func newAccount(user string) *account {
	a := &account{nodes: map[string]bool{}, across: map[string]bool{}, writesTo: map[string]bool{}, agents: map[string]bool{}}
	if rest, is := strings.CutPrefix(user, accountPrefix); is {
		a.Kind, a.Account = kindServiceAccount, value(strings.Replace(rest, separator, "/", 1))
		return a
	}
	a.Kind, a.Account = kindUser, value(user)
	a.prefix = user[:strings.LastIndex(user, separator)+1]
	return a
}

// place counts where the object of a write is. The credential of the write may name no node.
func (a *account) place(w *replay.AgentWrite, node string) {
	switch {
	case node == "":
	case !w.AboutKnown:
		a.UnknownPlace++
	case w.About == "":
		a.NoNode++
	case w.About == node:
		a.Own++
		a.hasOwn = true
	default:
		a.Across++
		note(a.across, value(w.About), maxNames)
	}
	if node != "" {
		note(a.nodes, value(node), maxNames)
	}
}

// note adds a text to a set, up to a number of texts.
func note(set map[string]bool, s string, limit int) {
	if len(set) < limit && s != "" {
		set[s] = true
	}
}

// merge adds the counts of another user with the same prefix.
func (a *account) merge(other *account) {
	a.Writes, a.NoAccount = a.Writes+other.Writes, a.NoAccount+other.NoAccount
	a.Own, a.Across = a.Own+other.Own, a.Across+other.Across
	a.NoNode, a.UnknownPlace = a.NoNode+other.NoNode, a.UnknownPlace+other.UnknownPlace
	for _, sets := range [][2]map[string]bool{
		{a.nodes, other.nodes}, {a.across, other.across}, {a.writesTo, other.writesTo}, {a.agents, other.agents},
	} {
		maps.Copy(sets[0], sets[1])
	}
	if other.First.Before(a.First) {
		a.First = other.First
	}
	if other.Last.After(a.Last) {
		a.Last = other.Last
	}
}

// finish returns the counts: accounts that policies name first, then those with the most writes. Users whose names end in the name of the
// node that they write are counted together, by their prefix.
func (s *accounts) finish(named func(user string) []string) []AccountCount {
	prefixes := map[string]*account{}
	for _, a := range s.byUser {
		if a.Kind == kindUser && a.prefix != "" && a.hasOwn {
			prefixes[a.prefix] = nil
		}
	}
	counts := []AccountCount{}
	for _, user := range slices.Sorted(maps.Keys(s.byUser)) {
		a := s.byUser[user]
		a.NamedBy = named(user)
		together, is := prefixes[a.prefix]
		switch {
		case a.Kind != kindUser || !is && len(a.NamedBy) == 0:
			counts = append(counts, a.finish())
		case together == nil:
			a.Kind, a.Account = kindPrefix, value(a.prefix+"*")
			prefixes[a.prefix] = a
		default:
			together.merge(a)
		}
	}
	for _, a := range prefixes {
		if a != nil {
			a.WithNode, a.NoAccount = a.NoAccount, 0
			counts = append(counts, a.finish())
		}
	}
	slices.SortFunc(counts, func(a, b AccountCount) int {
		return cmp.Or(-cmp.Compare(min(len(a.NamedBy), 1), min(len(b.NamedBy), 1)), cmp.Compare(b.Writes, a.Writes),
			strings.Compare(a.Account, b.Account))
	})
	return counts
}

// finish returns the counts of an account.
func (a *account) finish() AccountCount {
	if a.Kind == kindUser {
		a.Own, a.Across, a.NoNode, a.UnknownPlace = 0, 0, 0, 0
		clear(a.nodes)
		clear(a.across)
	}
	c := a.AccountCount
	c.Nodes, c.AcrossNodes = len(a.nodes), len(a.across)
	c.WritesTo, c.UserAgents = sorted(a.writesTo, maxWritesTo), sorted(a.agents, maxAgents)
	c.First, c.Last = c.First.UTC(), c.Last.UTC()
	if c.NamedBy == nil {
		c.NamedBy = []string{}
	}
	c.Breaks = c.breaks()
	return c
}

func sorted(set map[string]bool, limit int) []string {
	all := slices.Sorted(maps.Keys(set))
	if all == nil {
		return []string{}
	}
	return all[:min(len(all), limit)]
}

// without returns how many writes have a credential that names no node.
func (c *AccountCount) without() int { return c.Writes - c.WithNode - c.NotLogged }

// breaks returns what a policy would break that names the account.
func (c *AccountCount) breaks() []string {
	breaks := []string{}
	add := func(n int, format string, args ...any) {
		if n > 0 {
			breaks = append(breaks, count(n, "write")+" "+fmt.Sprintf(format, args...))
		}
	}
	add(c.NoAccount, "by a user whose name names no node: no policy can hold it")
	add(c.Unbound, "with a token that is bound to no pod on a node, such as of kubectl create token")
	add(c.Secret, "with the token of a Secret: let its pods mount a projected token instead")
	add(c.Several, "by a user that names several nodes, which no token does: somebody impersonates the account")
	across := "to objects of %s from elsewhere: "
	if c.Own == 0 {
		across += "it is no agent of its node, but a controller"
	} else {
		across += "it elects a leader, or shares its account with a controller"
	}
	add(c.Across, across, count(c.AcrossNodes, "node"))
	add(c.NoNode, "to pods that are on no node")
	return breaks
}

// unsure says what the log does not say about the account; empty if nothing.
func (c *AccountCount) unsure() []string {
	var lacks []string
	if c.NotLogged > 0 {
		lacks = append(lacks,
			count(c.NotLogged, "write")+" with a token whose node is not logged: apply the policy with Audit, and read its records")
	}
	if c.UnknownPlace > 0 {
		lacks = append(lacks, count(c.UnknownPlace, "write")+" to objects whose node is not logged: --objects, or a longer log")
	}
	return lacks
}

// verdict says in a sentence whether a policy may name the account.
func (c *AccountCount) verdict() string {
	all := slices.Concat(c.Breaks, c.unsure())
	if len(all) == 0 {
		return "nothing: each write is about the node that its credential names"
	}
	return strings.Join(all, "; ")
}

// writeAccounts writes the accounts as a table.
func (r *Report) writeAccounts(w io.Writer) error {
	if len(r.Accounts) == 0 {
		return nil
	}
	table := command.Table{Header: []string{
		"ACCOUNT", "NAMED BY", "WRITES", "WITH NODE", "WITHOUT", "ACROSS", "NODES", "WHAT A POLICY WOULD BREAK",
	}}
	for i := range r.Accounts[:min(len(r.Accounts), r.limit)] {
		c := &r.Accounts[i]
		table.Add(c.Account, few(c.NamedBy), digits(c.Writes), digits(c.WithNode), digits(c.without()), digits(c.Across), digits(c.Nodes),
			command.Wrap(c.verdict(), "", breaksWidth))
	}
	if err := writeTable(w, &table); err != nil {
		return err
	}
	if left := len(r.Accounts) - r.limit; left > 0 {
		if _, err := fmt.Fprintf(w, "%s left out: see --limit\n", count(left, "account")); err != nil {
			return err
		}
	}
	if r.MoreAccounts == 0 {
		return nil
	}
	_, err := fmt.Fprintf(w, "%s by further accounts are left out\n", count(r.MoreAccounts, "write"))
	return err
}

// accountRows returns the accounts as rows of CSV.
func (r *Report) accountRows() [][]string {
	rows := [][]string{{
		"kind", "account", "namedBy", "writes", "withNode", "unboundToken", "tokenOfSecret", "severalNodes", "nodeNotLogged", "noServiceAccount",
		"ownNode", "otherNode", "noNode", "unknownNode", "nodes", "otherNodes", "writesTo", "userAgents", "first", "last", "breaks",
	}}
	for i := range r.Accounts {
		c := &r.Accounts[i]
		row := []string{c.Kind, c.Account, strings.Join(c.NamedBy, " ")}
		for _, n := range []int{
			c.Writes, c.WithNode, c.Unbound, c.Secret, c.Several, c.NotLogged, c.NoAccount, c.Own, c.Across, c.NoNode, c.UnknownPlace,
			c.Nodes, c.AcrossNodes,
		} {
			row = append(row, strconv.Itoa(n))
		}
		rows = append(rows, append(row, strings.Join(c.WritesTo, ", "), strings.Join(c.UserAgents, ", "), c.First.Format(time.RFC3339),
			c.Last.Format(time.RFC3339), c.verdict()))
	}
	return rows
}
