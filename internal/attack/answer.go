// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package attack

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/internal/program"
	"noderestriction.plus/internal/text"
)

// Stopper is who stopped an attack.
type Stopper string

// Who can stop an attack, in the order in which an API server asks them.
const (
	Authorizer      Stopper = "authorizer"
	NodeRestriction Stopper = "NodeRestriction"
	Admission       Stopper = "admission"  // another plugin of the API server
	APIServer       Stopper = "API server" // it drops the field, or the object is not valid
	VAP             Stopper = "VAP"        // a ValidatingAdmissionPolicy that is not ours
	Webhook         Stopper = "webhook"    // another webhook
	Here            Stopper = "here"       // a NodeRestrictionPolicy
	Nobody          Stopper = ""           // it passes
	NotTried        Stopper = "not tried"
)

// maxDetail bounds what is kept of a message, in bytes.
const maxDetail = 1024

// verdict is what an answer says.
type verdict struct {
	by     Stopper
	name   string // of the webhook or the ValidatingAdmissionPolicy, quoted
	policy string // the first NodeRestrictionPolicy
	rules  string // as the message has them, such as: node labels, node finalizers
	detail string // the message, or why it was not tried; printable and bounded
	failed bool   // it was not tried because of an error
}

// The grammar of messages, as kube-apiserver 1.37 writes them.
const (
	byWebhook = `admission webhook "([^"]{1,253})" denied the request: `
	byVAP     = `ValidatingAdmissionPolicy '([^']{1,253})' with binding '[^']{0,253}' denied request`
	// byPlugin is how messages of NodeRestriction begin, after the name of the object. %NODE% is the name of the node.
	byPlugin = `^(?:node "?%NODE%"? (?:is not allowed to|can only|cannot|can not|must not|UID mismatch)|` +
		`is not allowed to modify labels: |can only (?:access|create|delete) |pod does not have "kubernetes\.io/config\.mirror" annotation|` +
		`unexpected (?:operation|pod subresource)|may only update PVC status|unable to (?:parse csr|access the object name)|` +
		`node requested token|PodCertificateRequest|pod "[^"]{1,317}" is not running on node "%NODE%"|error looking up node )`
	violates     = `NodeRestrictionPolicy "([^"]{1,253})": `
	cannotBe     = `cannot impersonate|impersonate-on:`
	unauthorized = `^User "[^"]{1,300}" cannot [a-z]+ resource `
	ruleWords    = `^[a-z][a-z ]{1,63}$`
	noDryRun     = "does not support dry run"
	notCalled    = "failed calling webhook"
)

// matches reports whether a text matches a pattern of the grammar.
func matches(pattern, s string) bool { return regexp.MustCompile(pattern).MatchString(s) }

// verdictOf returns who stopped an attack.
func verdictOf(node string, w *write, code int, body []byte) verdict {
	var s metav1.Status
	if json.Unmarshal(body, &s) != nil || s.Kind != "Status" {
		s = metav1.Status{}
	}
	v := verdict{detail: text.Printable(text.Cut(s.Message, maxDetail))}
	switch {
	case code < http.StatusMultipleChoices:
		return acceptance(w, body)
	case code == http.StatusConflict && s.Reason == metav1.StatusReasonAlreadyExists:
		// An object is found to exist after admission.
		return verdict{by: Nobody, detail: "admission let it pass; the object exists already"}
	case code == http.StatusTooManyRequests && w.subresource == "eviction" && strings.Contains(s.Message, "disruption budget"):
		return verdict{by: Nobody, detail: "admission let it pass; the pod's disruption budget did not"}
	case v.readOthers(s.Message): // with whatever code they choose
	case strings.Contains(s.Message, noDryRun):
		v.by, v.failed = NotTried, true
	case strings.Contains(s.Message, notCalled):
		v.by, v.failed = NotTried, true
	case code == http.StatusUnprocessableEntity:
		v.by = APIServer
	case code == http.StatusForbidden:
		v.readForbidden(node, s.Message)
	case code == http.StatusNotFound:
		v.by = NotTried
	default:
		v.by, v.failed = NotTried, true
		if v.detail == "" {
			v.detail = "HTTP status " + number(code)
		}
	}
	return v
}

func acceptance(w *write, body []byte) verdict {
	answer, err := decode(body)
	if err != nil {
		return verdict{by: NotTried, detail: "the answer is no JSON object", failed: true}
	}
	// Numbers of the wanted object become what JSON makes of them.
	if !(&write{method: w.method, subresource: w.subresource, contentType: w.contentType, body: plain(w.body)}).effective(answer) {
		return verdict{by: APIServer, detail: "it accepts the request, but drops the change"}
	}
	return verdict{by: Nobody}
}

// plain returns an object as it is read from JSON.
func plain(of object) object {
	data, err := json.Marshal(of)
	if err != nil {
		return of
	}
	read, err := decode(data)
	if err != nil {
		return of
	}
	return read
}

// readOthers reports whether a webhook or a ValidatingAdmissionPolicy denied the request.
func (v *verdict) readOthers(message string) bool {
	if m := regexp.MustCompile(byWebhook).FindStringSubmatch(message); m != nil {
		v.by, v.name = Webhook, text.Quote(m[1])
		if strings.HasSuffix(m[1], ".noderestriction.plus") {
			v.by = Here
			v.readRules(message)
		}
		return true
	}
	if m := regexp.MustCompile(byVAP).FindStringSubmatch(message); m != nil {
		v.by, v.name = VAP, text.Quote(m[1])
		if strings.HasPrefix(m[1], program.Name) {
			v.by = Here
		}
		return true
	}
	return false
}

func (v *verdict) readForbidden(node, message string) {
	_, reason, _ := strings.Cut(message, " is forbidden: ")
	switch {
	case matches(cannotBe, message):
		v.by, v.failed = NotTried, true
	case matches(unauthorized, reason):
		v.by = Authorizer
	case matches(strings.ReplaceAll(byPlugin, "%NODE%", regexp.QuoteMeta(node)), reason):
		v.by = NodeRestriction
	default:
		v.by = Admission
	}
}

// readRules reads the first policy and the names of its rules from a message such as
//
//	... violates NodeRestrictionPolicy "a": node labels (must not add "b"), node finalizers (must not add "c"); NodeRestriction...
func (v *verdict) readRules(message string) {
	at := regexp.MustCompile(violates).FindStringSubmatchIndex(message)
	if at == nil {
		return
	}
	v.policy = message[at[2]:at[3]]
	var rules []string
	rest := message[at[1]:]
	for {
		rule, after, found := strings.Cut(rest, " (")
		if !found || !matches(ruleWords, rule) {
			break
		}
		rules = append(rules, strings.ReplaceAll(rule, " ", "-"))
		end := closing(after)
		if end < 0 || !strings.HasPrefix(after[end:], "), ") {
			break
		}
		rest = after[end+len("), "):]
	}
	v.rules = strings.Join(rules, ", ")
}

// closing returns where the parenthesis closes, outside of quoted values, or -1.
func closing(s string) int {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case c == ')' && !quoted:
			return i
		}
	}
	return -1
}

// hereTitle begins the title of what is ours and names no policy.
const hereTitle = "here: "

// title is how outputs name who stopped it.
func (v *verdict) title() string {
	switch {
	case v.by == Here && v.policy != "":
		return text.Printable(v.policy) + "/" + v.rules
	case v.by == Here:
		return hereTitle + v.name
	case v.name != "":
		return string(v.by) + " " + v.name
	case v.by == Nobody:
		return "NOBODY"
	}
	return string(v.by)
}
