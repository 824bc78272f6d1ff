// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package outage_test

import (
	"testing"
)

// scenario is an outage. Afterwards everything has recovered without a person, so that any other scenario may follow.
type scenario struct {
	name string
	core bool // it runs on every change
	run  func(s *setup, t *testing.T)

	// What it shows, for the page.
	kubelets, enforced, recorded, recovers string
}

// scenarios returns all scenarios in the order of the page.
func scenarios() []scenario {
	const unchanged, all, none = "not affected", "every denial", "no recovery needed"
	return []scenario{
		{
			name: "All replicas and their nodes are down", core: true, run: (*setup).allDown,
			kubelets: "heartbeats, leases and pod statuses continue; a kubelet restarts; a Node that was marked Unknown becomes Ready " +
				"again; a new Node joins; static pods run, and those of their mirror pods are created that violate nothing",
			enforced: "the floor under registration; writes with `Fail` are refused; writes with `Ignore` pass without evaluation: see above",
			recorded: "nothing, because the webhook denies nothing; what the floor denies is in the API server's audit log",
			recovers: "when one of the nodes is back: its kubelet registers and reports its pods, which become endpoints again",
		},
		{
			name: "The same with k3s, whose agent writes the Node before it starts the network of pods, with `policies.distribution: k3s`",
			core: true, run: (*setup).agentsFirst,
			kubelets: "as above; the agents' writes pass", enforced: "as above, except what the distribution's agents write: see above",
			recorded: "nothing", recovers: "when one of the nodes is back: its agent writes, and its kubelet starts the replica",
		},
		{
			name: "API servers cannot reach any replica", run: (*setup).cutOff,
			kubelets: "as above; a write is refused after 2 s with `Fail`, and passes after 1 s with `Ignore`", enforced: "as above",
			recorded: "nothing", recovers: "with the next write after the network is back",
		},
		{
			name: "One replica is killed", core: true, run: (*setup).killed,
			kubelets: "a share of the writes with `Fail` is refused until its endpoint is removed; kubelets retry",
			enforced: unchanged, recorded: "every denial that was answered",
			recovers: "when its kubelet has restarted it; until then it is no endpoint",
		},
		{
			name: "One replica hangs", run: (*setup).hangs,
			kubelets: "a share of the writes with `Fail` is refused after 2 s, until its readiness probe has failed twice",
			enforced: unchanged, recorded: "every denial that was answered",
			recovers: "when its kubelet kills it, 10 s after its liveness probe has failed for a minute; until then the others answer",
		},
		{
			name: "All replicas hang while 600 nodes write", run: (*setup).crowd,
			kubelets: "writes with `Fail` are refused after 2 s; no lease is late", enforced: "as when all replicas are down",
			recorded: "what was answered", recovers: "when the replicas continue or are killed",
		},
		{
			name: "Rolling restart", core: true, run: (*setup).restart,
			kubelets: "no write fails", enforced: unchanged, recorded: all, recovers: none,
		},
		{
			name: "The whole cluster is down, and starts before the replicas", run: (*setup).coldStart,
			kubelets: "register and are Ready as soon as the API server answers", enforced: "as when all replicas are down",
			recorded: "nothing until a replica runs", recovers: "when the nodes of the replicas have registered and start their pods",
		},
		{
			name: "The API server is down", run: (*setup).apiServerAway,
			kubelets: "as without the product: a Node that was marked Unknown may need a minute to become Ready",
			enforced: "the same policies as before, from the first write on",
			recorded: all, recovers: "immediately; no replica restarts or becomes unready",
		},
		{
			name: "etcd is frozen for 30 s", run: (*setup).etcdFrozen,
			kubelets: "writes wait, or end with 504", enforced: "nothing can be stored",
			recorded: "every denial, including those answered too late", recovers: "immediately; no replica restarts",
		},
		{
			name: "There are two API servers", run: (*setup).twoAPIServers,
			kubelets: unchanged, enforced: "by both, a changed policy within 5 s", recorded: all, recovers: none,
		},
		{
			name: "The CRD is deleted, and with it all policies", run: (*setup).crdDeleted,
			kubelets: unchanged, enforced: "the last known policies, by every replica that had read them", recorded: all,
			recovers: "when the CRD is back; then its policies count, even if there are no policies",
		},
		{
			name: "The webhook loses its permissions", run: (*setup).permissionsRemoved,
			kubelets: unchanged, enforced: "the last known policies", recorded: all,
			recovers: "within a minute after the permissions are restored; no replica restarts",
		},
		{
			name: "A policy does not compile", run: (*setup).brokenPolicy,
			kubelets: unchanged, enforced: "the last version of the policy that compiled", recorded: all,
			recovers: "when it is corrected; until then its condition `Ready` is `False` and has the field error",
		},
		{
			name: "A policy changes every 2 s", run: (*setup).flips,
			kubelets: unchanged, enforced: "each version within 5 s; other policies all the time", recorded: all, recovers: none,
		},
		{
			name: "A Node is deleted while its kubelet runs", run: (*setup).nodeDeleted,
			kubelets: "keeps running, and registers when it restarts", enforced: unchanged, recorded: all, recovers: "with that restart",
		},
		{
			name: "Upgrade to another version, and rollback", run: (*setup).upgrade,
			kubelets: "no write fails", enforced: "by both versions at the same time", recorded: "every denial, with the version",
			recovers: none,
		},
		{
			name: "Uninstalled while all replicas are down", core: true, run: (*setup).uninstall,
			kubelets: "every write passes from that moment on", enforced: "nothing", recorded: "nothing",
			recovers: "with `helm install`, which adopts the CRD and the policies that were kept",
		},
		{
			name: "The Deployment is deleted before the webhooks", run: (*setup).wrongOrder,
			kubelets: "as when all replicas are down, until `kubectl delete validatingwebhookconfiguration`",
			enforced: "as when all replicas are down",
			recorded: "nothing", recovers: "when the configuration is deleted, or with `helm upgrade`",
		},
	}
}
