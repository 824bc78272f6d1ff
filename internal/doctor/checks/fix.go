// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"noderestriction.plus/internal/authorization"
	"noderestriction.plus/internal/rbac"
	"noderestriction.plus/internal/text"
)

// maxCommand bounds a command, in bytes: kernels bound an argument to 128 KiB.
const maxCommand = 64 << 10

// plainWord reports whether a shell takes a word as it is.
func plainWord(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		return !letter && !strings.ContainsRune("_./:=@,+-", r)
	})
}

// Quote quotes a word for a POSIX shell.
func Quote(s string) string {
	if plainWord(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// shell returns the fix with a command of these words. A word that does not print cannot be in a line that a person reads and runs.
func shell(on string, words ...string) Fix {
	for i, word := range words {
		if text.Printable(word) != word {
			return Fix{Note: "the name has characters that do not print, so no command is shown"}
		}
		words[i] = Quote(word)
	}
	line := strings.Join(words, " ")
	if len(line) > maxCommand {
		return Fix{Note: "the command would be too long to be shown"}
	}
	return Fix{Command: line, On: on}
}

// dashed protects names that begin with a dash from being taken for flags.
func dashed(words []string, name string) []string {
	if strings.HasPrefix(name, "-") {
		return append(words, "--", name)
	}
	return append(words, name)
}

// editManifest returns a command that changes the flags in kubeadm's manifest of kube-apiserver. The kubelet then starts it again. The
// old manifest is kept elsewhere: the kubelet would run a copy beside it.
func editManifest(sed string) string {
	const manifest = "/etc/kubernetes/manifests/kube-apiserver.yaml"
	return "cp -p " + manifest + " /root/ && sed -i -E '" + sed + "' " + manifest
}

type patchOperation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

// jsonPatch returns the fix that patches an object. The operations must be encodable.
func jsonPatch(kind, namespace, name string, operations []patchOperation) Fix {
	patch, err := json.Marshal(operations)
	if err != nil {
		return Fix{Note: "no patch can be shown: " + err.Error()}
	}
	return patchWith(kind, namespace, name, "json", string(patch))
}

func patchWith(kind, namespace, name, patchType, patch string) Fix {
	words := []string{"kubectl", "patch", kind, "--type=" + patchType, "--patch=" + patch}
	if namespace != "" {
		words = append(words, "--namespace="+namespace)
	}
	return shell(OnCluster, dashed(words, name)...)
}

func deletion(kind, namespace, name string) Fix {
	words := []string{"kubectl", "delete", kind, "--ignore-not-found"}
	if namespace != "" {
		words = append(words, "--namespace="+namespace)
	}
	return shell(OnCluster, dashed(words, name)...)
}

// unbind returns the fix that removes subjects, by their index, from a binding.
func unbind(h *rbac.Holding, subjects []int) Fix {
	kind := strings.ToLower(h.BindingKind)
	if len(subjects) == len(h.Subjects) {
		return deletion(kind, h.BindingNamespace, h.Binding)
	}
	var operations []patchOperation
	for _, i := range slices.Backward(subjects) {
		at := fmt.Sprintf("/subjects/%d", i)
		operations = append(operations,
			patchOperation{"test", at + "/name", h.Subjects[i].Name}, patchOperation{Op: "remove", Path: at})
	}
	return jsonPatch(kind, h.BindingNamespace, h.Binding, operations)
}

// Grant returns a command that grants a user a permission. An administrator runs it.
func Grant(user authorization.Identity, permission *authorization.Request) string {
	subject := rbacv1.Subject{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: user.User}
	flag := "--user=" + user.User
	if rest, found := strings.CutPrefix(user.User, "system:serviceaccount:"); found {
		flag = "--serviceaccount=" + rest
		namespace, name, _ := strings.Cut(rest, ":")
		subject = rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: name}
	}
	if user.User == "" {
		return ""
	}
	name := grantName(permission)
	create := []string{"kubectl", "create", "clusterrole", name, "--verb=" + permission.Verb}
	switch {
	case permission.Path != "":
		create = append(create, "--non-resource-url="+permission.Path)
	case strings.HasPrefix(permission.Verb, "impersonate"):
		return grantByManifest(name, permission, &subject)
	default:
		resource := permission.Resource
		if permission.Group != "" {
			resource += "." + permission.Group
		}
		if permission.Subresource != "" {
			resource += "/" + permission.Subresource
		}
		create = append(create, "--resource="+resource)
		if permission.Name != "" {
			create = append(create, "--resource-name="+permission.Name)
		}
	}
	bind := []string{"kubectl", "create", "clusterrolebinding", name, "--clusterrole=" + name, flag}
	if permission.Namespace != "" {
		bind = []string{"kubectl", "create", "rolebinding", name, "--namespace=" + permission.Namespace, "--clusterrole=" + name, flag}
	}
	first, second := shell(OnCluster, create...), shell(OnCluster, bind...)
	if first.Command == "" || second.Command == "" {
		return ""
	}
	return first.Command + " && " + second.Command
}

func grantName(permission *authorization.Request) string {
	words := regexp.MustCompile("[^a-z0-9]+").ReplaceAllString(permission.Verb+"-"+permission.GroupResource()+"-"+permission.Name, "-")
	return "nrp-doctor-" + strings.Trim(text.Cut(words, 200), "-.")
}

// grantByManifest grants what kubectl create clusterrole refuses, because discovery does not know the resource.
func grantByManifest(name string, permission *authorization.Request, subject *rbacv1.Subject) string {
	type object = map[string]any
	rule := object{"apiGroups": []string{permission.Group}, "resources": []string{permission.Resource}, "verbs": []string{permission.Verb}}
	if permission.Name != "" {
		rule["resourceNames"] = []string{permission.Name}
	}
	list, err := json.Marshal(object{"apiVersion": "v1", "kind": "List", "items": []object{
		{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": rbac.ClusterRole, "metadata": object{"name": name}, "rules": []object{rule}},
		{
			"apiVersion": "rbac.authorization.k8s.io/v1", "kind": rbac.ClusterRoleBinding, "metadata": object{"name": name},
			"roleRef":  object{"apiGroup": "rbac.authorization.k8s.io", "kind": rbac.ClusterRole, "name": name},
			"subjects": []*rbacv1.Subject{subject},
		},
	}})
	if err != nil {
		return ""
	}
	line := shell(OnCluster, "printf", "%s", string(list))
	if line.Command == "" {
		return ""
	}
	return line.Command + " | kubectl apply -f -"
}
