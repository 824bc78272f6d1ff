// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package attack

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"

	"noderestriction.plus/internal/review"
	"noderestriction.plus/policy"
)

const (
	mergePatchType = "application/merge-patch+json"
	applyPatchType = "application/apply-patch+yaml"
	jsonType       = "application/json"
	// fieldManager is the field manager of attacks with server-side apply.
	fieldManager = "nrp-attack"
)

// write is one request, and the object as it would be after it.
type write struct {
	method      string
	resource    string // with its group, such as leases.coordination.k8s.io
	subresource string
	namespace   string
	name        string // empty at the creation of an object
	contentType string
	body        object // nil: none

	old, updated object
}

// patchOf returns a JSON merge patch of a stored object.
func patchOf(resource, subresource string, stored, patch object) *write {
	return &write{
		method: http.MethodPatch, resource: resource, subresource: subresource,
		namespace: textAt(stored, "metadata", "namespace"), name: textAt(stored, "metadata", "name"),
		contentType: mergePatchType, body: patch, old: stored, updated: mergePatch(stored, patch),
	}
}

// applyOf returns a server-side apply of a label that the object has already. It changes nothing but who owns the label.
func applyOf(resource, kind, subresource string, stored object) (*write, string) {
	labels, _ := lookUp(stored, "metadata", "labels").(object)
	if len(labels) == 0 {
		return nil, "the object has no label"
	}
	key := slices.Sorted(maps.Keys(labels))[0]
	w := patchOf(resource, subresource, stored, nil)
	meta := object{"name": w.name, "labels": object{key: labels[key]}}
	if w.namespace != "" {
		meta["namespace"] = w.namespace
	}
	w.contentType, w.body = applyPatchType, object{"apiVersion": "v1", "kind": kind, "metadata": meta}
	entry := object{
		"manager": fieldManager, "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1", "subresource": subresource,
		"fieldsV1": object{"f:metadata": object{"f:labels": object{"f:" + key: object{}}}},
	}
	managed, _ := with([]string{"metadata", "managedFields"}, entry)(stored)
	w.updated = mergePatch(stored, managed)
	return w, ""
}

func creation(resource string, created object) *write {
	return &write{
		method: http.MethodPost, resource: resource, namespace: textAt(created, "metadata", "namespace"),
		contentType: jsonType, body: created, updated: created,
	}
}

// below returns the creation of a subresource.
func below(resource, subresource string, created object) *write {
	w := creation(resource, created)
	w.subresource, w.name = subresource, textAt(created, "metadata", "name")
	return w
}

func deletion(resource string, stored object) *write {
	return &write{
		method: http.MethodDelete, resource: resource, namespace: textAt(stored, "metadata", "namespace"),
		name: textAt(stored, "metadata", "name"), old: stored,
	}
}

// versions has the version of each API group that attacks write, for the paths of requests.
func versions() map[string]string {
	return map[string]string{
		"": "v1", "coordination.k8s.io": "v1", "certificates.k8s.io": "v1", "storage.k8s.io": "v1", "resource.k8s.io": "v1",
		"rbac.authorization.k8s.io": "v1", "authentication.k8s.io": "v1", "noderestriction.plus": "v1alpha1",
	}
}

// path returns the path of a resource. An empty name is the collection.
func path(resource, subresource, namespace, name string) string {
	plural, group, _ := strings.Cut(resource, ".")
	var b strings.Builder
	if group == "" {
		b.WriteString("/api/")
	} else {
		b.WriteString("/apis/" + group + "/")
	}
	b.WriteString(versions()[group])
	if namespace != "" {
		b.WriteString("/namespaces/" + namespace)
	}
	b.WriteString("/" + plural)
	for _, part := range []string{name, subresource} {
		if part != "" {
			b.WriteString("/" + part)
		}
	}
	return b.String()
}

func (w *write) path() string { return path(w.resource, w.subresource, w.namespace, w.name) }

// title is how texts name the request.
func (w *write) title() string {
	s := w.method + " " + w.resource
	if w.subresource != "" {
		s += "/" + w.subresource
	}
	return s
}

// request returns the write as the webhook gets it.
func (w *write) request(s *state, facts policy.Facts) (*policy.Request, error) {
	r := &policy.Request{
		NodeName: s.node, InNodesGroup: true, User: review.UserOf(s.node), Facts: facts,
		Write: policy.Write{
			Operation: map[string]admissionv1.Operation{
				http.MethodPost: admissionv1.Create, http.MethodPatch: admissionv1.Update, http.MethodDelete: admissionv1.Delete,
			}[w.method],
			Resource: w.resource, Version: "v1", Subresource: w.subresource, Namespace: w.namespace, Name: w.name, DryRun: true,
		},
	}
	if s.account != "" {
		r.InNodesGroup, r.User = false, agentUser(s.account, s.node)
		r.Subject = policy.Subject{Kind: policy.ServiceAccount, Account: s.account}
	}
	if r.Name == "" {
		r.Name = textAt(w.updated, "metadata", "name")
	}
	var err error
	if w.updated != nil {
		if r.Object, err = json.Marshal(w.updated); err != nil {
			return nil, err
		}
	}
	if w.old != nil {
		r.OldObject, err = json.Marshal(w.old)
	}
	return r, err
}

// effective reports whether an answer has what the write wanted: the API server drops fields that it does not know, without a word.
func (w *write) effective(answer object) bool {
	switch {
	case w.method == http.MethodDelete || w.subresource == "eviction" || w.subresource == "binding":
		return true
	case w.contentType == applyPatchType:
		managed, _ := lookUp(answer, "metadata", "managedFields").([]any)
		return slices.ContainsFunc(managed, func(entry any) bool { return holds(entry, object{"manager": fieldManager}) })
	}
	wanted := w.body
	if managed, _ := lookUp(wanted, "metadata", "managedFields").([]any); len(managed) > 0 {
		// The API server rewrites the fields of an entry.
		entry, _ := managed[0].(object)
		wanted = mergePatch(wanted, metadata(object{"managedFields": []any{
			object{"manager": entry["manager"], "operation": entry["operation"]},
		}}))
	}
	return holds(answer, wanted)
}

// holds reports whether a value has everything that a merge patch sets, and nothing that it removes.
func holds(value, wanted any) bool {
	switch wanted := wanted.(type) {
	case object:
		fields, is := value.(object)
		for name, field := range wanted {
			switch have := fields[name]; { // null is the same as no field
			case field == nil && have != nil, field != nil && have == nil && !empty(field), have != nil && !holds(have, field):
				return false
			}
		}
		return is || empty(wanted)
	case []any:
		list, _ := value.([]any)
		for _, element := range wanted {
			if !slices.ContainsFunc(list, func(have any) bool { return holds(have, element) }) {
				return false
			}
		}
		return true
	}
	return value == wanted
}

// empty reports whether the API server omits such a value.
func empty(value any) bool {
	switch value := value.(type) {
	case object:
		return len(value) == 0
	case []any:
		return len(value) == 0
	case bool:
		return !value
	case string:
		return value == ""
	}
	return false
}

// mergePatch returns an object with a JSON merge patch (RFC 7396). It leaves its arguments as they are.
func mergePatch(stored, patch object) object {
	merged := maps.Clone(stored)
	if merged == nil {
		merged = object{}
	}
	for name, value := range patch {
		switch value := value.(type) {
		case nil:
			delete(merged, name)
		case object:
			below, _ := merged[name].(object)
			merged[name] = mergePatch(below, value)
		default:
			merged[name] = value
		}
	}
	return merged
}

// lookUp returns what is at a path of an object, or nil.
func lookUp(of object, path ...string) any {
	var value any = of
	for _, name := range path {
		fields, _ := value.(object)
		value = fields[name]
	}
	return value
}

func textAt(of object, path ...string) string {
	s, _ := lookUp(of, path...).(string)
	return s
}

func number(i int) string { return strconv.Itoa(i) }
