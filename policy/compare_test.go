package policy

import (
	"net/netip"
	"slices"
	"testing"
)

func TestConditionsAreComparedByType(t *testing.T) {
	a, b := Condition{Type: "A", Status: "True"}, Condition{Type: "B", Status: "True"}
	for name, test := range map[string]struct {
		old, updated            []Condition
		added, changed, removed []string
	}{
		"moved":               {old: []Condition{a, b}, updated: []Condition{b, a}},
		"added and removed":   {old: []Condition{a}, updated: []Condition{b}, added: []string{"B"}, removed: []string{"A"}},
		"a second of a type":  {old: []Condition{a}, updated: []Condition{a, {Type: "A"}}, changed: []string{"A"}},
		"a time that changes": {old: []Condition{a}, updated: []Condition{{Type: "A", Status: "True", LastTransitionTime: "t"}}, changed: []string{"A"}},
	} {
		c := compareConditions(test.old, test.updated)
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
