// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"net/http"

	"noderestriction.plus/internal/authorization"
	"noderestriction.plus/internal/nodeauthorizer"
	"noderestriction.plus/internal/text"
)

func kubeletLive() Check {
	return Check{
		ID: "kubelet-live", Severity: nodeauthorizer.High, Worst: Bad,
		Asks: "Do running kubelets close their API to strangers, and rotate their certificates?",
		Gain: "runs commands in every pod of a node, from any pod that reaches its port 10250",
		How: "With --kubelets N it reads /configz of N kubelets through the API server, which needs nodes/proxy, a very strong permission;" +
			" and it asks" +
			" their ports 10250 and 10255 for /pods without a credential, if it reaches them. It looks for the same as kubelet-config.",
		Needs: []authorization.Request{{Verb: "get", Resource: "nodes", Subresource: "proxy"}, {Verb: "list", Resource: "nodes"}},
		run:   runKubeletLive,
	}
}

func runKubeletLive(s *Snapshot, f *Finding) {
	kubelets, ok := known(s, f, &s.Kubelets)
	if !ok {
		return
	}
	if len(kubelets) == 0 {
		f.cannot("there is no node")
	}
	asked := 0
	for i := range kubelets {
		k := &kubelets[i]
		object := "kubelet of Node " + text.Quote(k.Node)
		fix := Fix{
			Command: "kubeadm upgrade node phase kubelet-config && systemctl restart kubelet", On: OnNode,
			Note: "once kubelet-config is ok; without kubeadm, edit the file of the kubelet's flag --config",
		}
		if k.Stranger == http.StatusOK {
			f.bad(object, ":10250/pods", fix, "it answers without a credential")
		}
		if k.ReadOnly == http.StatusOK {
			f.bad(object, ":10255/pods", fix, "its read-only port answers everybody")
		}
		if config, ok := known(s, f, &k.Config); ok && config != nil {
			asked++
			f.judgeKubelet(object, "/configz ", config, fix)
		}
	}
	f.note("%d of %d kubelets said how they are configured", asked, len(kubelets))
}
