// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"encoding/json"
	"strings"

	"sigs.k8s.io/yaml"

	"noderestriction.plus/internal/authorization"
	"noderestriction.plus/internal/nodeauthorizer"
	"noderestriction.plus/internal/text"
)

func kubeletConfig() Check {
	return Check{
		ID: "kubelet-config", Severity: nodeauthorizer.High, Worst: Bad,
		Asks: "Does kubeadm's configuration for kubelets close their API to strangers, and rotate their certificates?",
		Gain: "runs commands in every pod of a node, from any pod that reaches its port 10250",
		How: "It reads the ConfigMap kubelet-config of kube-system: anonymous access, the authorization mode AlwaysAllow and the read-only" +
			" port are bad;" +
			" certificates that do not rotate, or that kubelets sign themselves, are weak. It cannot tell where kubeadm did not set up" +
			" the cluster.",
		Needs: []authorization.Request{{Verb: "get", Resource: "configmaps", Namespace: "kube-system", Name: "kubelet-config"}},
		run:   runKubeletConfig,
	}
}

func runKubeletConfig(s *Snapshot, f *Finding) {
	source, ok := known(s, f, &s.KubeletConfig)
	if !ok {
		return
	}
	if source == "" {
		f.cannot("there is no ConfigMap kubelet-config in kube-system, so kubeadm has not set up this cluster: try --kubelets")
		return
	}
	config := &KubeletConfig{}
	if err := yaml.Unmarshal([]byte(source), config); err != nil {
		f.cannot("the ConfigMap kubelet-config of kube-system: %v", err)
		return
	}
	f.judgeKubelet(`ConfigMap "kube-system/kubelet-config"`, "data.kubelet ", config, repairedConfig(source))
}

// judgeKubelet looks at a configuration, with the defaults of configuration files.
func (f *Finding) judgeKubelet(object, prefix string, c *KubeletConfig, fix Fix) {
	if or(c.Authentication.Anonymous.Enabled, false) {
		f.bad(object, prefix+"authentication.anonymous.enabled", fix, "kubelets answer everybody")
	}
	if c.Authorization.Mode == "AlwaysAllow" {
		f.bad(object, prefix+"authorization.mode", fix, "kubelets let everybody whom they know do everything")
	}
	if c.ReadOnlyPort != 0 {
		f.bad(object, prefix+"readOnlyPort", fix, "kubelets tell everybody about their pods, at port %d", c.ReadOnlyPort)
	}
	if !c.RotateCertificates {
		f.weak(object, prefix+"rotateCertificates", fix, "client certificates of kubelets do not rotate, so a stolen one is valid for long")
	}
	if !c.ServerTLSBootstrap {
		fix.Note = strings.TrimPrefix(fix.Note+"; an approver for kubernetes.io/kubelet-serving must run, or the API server gets no logs", "; ")
		f.weak(object, prefix+"serverTLSBootstrap", fix, "kubelets sign their serving certificates themselves, so nobody can verify them")
	}
}

// repairedConfig returns the fix that changes the configuration in the ConfigMap.
func repairedConfig(source string) Fix {
	const maxConfig = 16 << 10
	failed := Fix{Note: "edit it: kubectl -n kube-system edit configmap kubelet-config"}
	var config map[string]any
	if err := yaml.Unmarshal([]byte(source), &config); err != nil || config == nil || len(source) > maxConfig {
		return failed
	}
	set(config, false, "authentication", "anonymous", "enabled")
	if mode, _ := lookUp(config, "authorization", "mode").(string); mode == "AlwaysAllow" {
		set(config, "Webhook", "authorization", "mode")
		set(config, true, "authentication", "webhook", "enabled")
	}
	delete(config, "readOnlyPort")
	config["rotateCertificates"] = true
	config["serverTLSBootstrap"] = true
	repaired, err := yaml.Marshal(config)
	if err != nil || text.Printable(strings.ReplaceAll(string(repaired), "\n", "")) != strings.ReplaceAll(string(repaired), "\n", "") {
		return failed
	}
	patch, err := json.Marshal(map[string]any{"data": map[string]string{"kubelet": string(repaired)}})
	if err != nil {
		return failed
	}
	fix := patchWith("configmap", "kube-system", "kubelet-config", "merge", string(patch))
	fix.Note = "then on each node, one after the other: kubeadm upgrade node phase kubelet-config && systemctl restart kubelet"
	return fix
}

// set sets a field of an object, and replaces what is in the way.
func set(o map[string]any, value any, path ...string) {
	for _, name := range path[:len(path)-1] {
		child, ok := o[name].(map[string]any)
		if !ok {
			child = map[string]any{}
			o[name] = child
		}
		o = child
	}
	o[path[len(path)-1]] = value
}

func lookUp(o map[string]any, path ...string) any {
	for _, name := range path[:len(path)-1] {
		o, _ = o[name].(map[string]any)
	}
	return o[path[len(path)-1]]
}
