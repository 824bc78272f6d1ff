package policy

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

func TestConditionsAreComparedByType(t *testing.T) {
	condition := func(text string) Condition {
		var cs Conditions
		if err := cs.read(jsontext.Value("[" + text + "]")); err != nil {
			t.Fatal(err)
		}
		return cs[0]
	}
	a, b := condition(`{"type":"A","status":"True"}`), condition(`{"type":"B","status":"True"}`)
	for name, test := range map[string]struct {
		old, updated            Conditions
		added, changed, removed []string
	}{
		"moved":              {old: Conditions{a, b}, updated: Conditions{b, a}},
		"added and removed":  {old: Conditions{a}, updated: Conditions{b}, added: []string{"B"}, removed: []string{"A"}},
		"a second of a type": {old: Conditions{a}, updated: Conditions{a, condition(`{"type":"A"}`)}, changed: []string{"A"}},
		"a time that changes": {
			old: Conditions{a}, changed: []string{"A"},
			updated: Conditions{condition(`{"type":"A","status":"True","lastTransitionTime":"t"}`)},
		},
		"written in another order": {old: Conditions{a}, updated: Conditions{condition(`{"status":"True", "type":"A"}`)}},
		"one that may be written":  {updated: Conditions{condition(`{"type":"Ready"}`)}},
	} {
		c := compareConditions(test.old, test.updated, isKubeletCondition)
		if !slices.Equal(c.added, test.added) || !slices.Equal(c.changed, test.changed) || !slices.Equal(c.removed, test.removed) {
			t.Errorf("%s: got %+v", name, c)
		}
	}
}

func TestAddressesOfNoOtherHostAreNotRoutable(t *testing.T) {
	for text, want := range map[string]bool{
		"10.0.0.1": true, "fd00::1": true, "2001:db8::1": true,
		"127.0.0.1": false, "::1": false, "::ffff:127.0.0.1": false, "169.254.169.254": false, "fe80::1": false,
		"fe80::1%eth0": false, "fd00::1%eth0": false, "224.0.0.1": false, "ff02::1": false, "0.0.0.0": false, "::": false,
	} {
		if got := isRoutable(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: got %v, want %v", text, got, want)
		}
	}
}

func TestServerFieldsAreNoChange(t *testing.T) {
	const old = `{"metadata":{"name":"n","resourceVersion":"1","managedFields":[{"manager":"a"}],"labels":{"a":"b"}},"spec":{"x":1}}`
	for name, test := range map[string]struct {
		updated string
		want    bool
	}{
		"only server fields differ": {
			`{"spec":{"x":1},"metadata":{"labels":{"a":"b"},"name":"n","resourceVersion":"2","generation":3}}`, true,
		},
		"a label differs":       {`{"metadata":{"name":"n","labels":{"a":"c"}},"spec":{"x":1}}`, false},
		"a new field is there":  {`{"metadata":{"name":"n","labels":{"a":"b"}},"spec":{"x":1,"y":2}}`, false},
		"there is no metadata":  {`{"spec":{"x":1}}`, false},
		"it is not well-formed": {`{"metadata":`, false},
	} {
		if got := sameObject([]byte(old), []byte(test.updated)); got != test.want {
			t.Errorf("%s: got %v, want %v", name, got, test.want)
		}
	}
}

func TestHostPathsAreResolved(t *testing.T) {
	folders := []string{"/etc/kubernetes", "/var/lib/etcd/"}
	for path, inside := range map[string]bool{
		"/etc/kubernetes": true, "/etc/kubernetes/pki": true, "/var/lib/etcd": true, "/etc//kubernetes/./pki": true,
		"/etc/kubernetes-evil": false, "/etc/kubernetes/../shadow": false, "/": false, "": false, "etc/kubernetes": false,
	} {
		spec := &PodSpec{Volumes: []Volume{{HostPath: &struct {
			Path string `json:"path"`
		}{path}}}}
		if got := len(hostPathsOutside(spec, folders)) == 0; got != inside {
			t.Errorf("%q is inside: got %v, want %v", path, got, inside)
		}
	}
}
