// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package outage_test

import "testing"

// scenario is a way of being down. Afterwards everything is as before, without a person, so that any other may follow.
type scenario struct {
	name string
	core bool // it is among the tests of every change
	run  func(s *setup, t *testing.T)

	// What it shows, for the page of docs.
	kubelets, enforced, recorded, recovers string
}

// scenarios are all of them, in the order of the page.
func scenarios() []scenario {
	const asEver, all = "as ever", "every denial"
	return []scenario{
		{
			name: "All replicas are down, their nodes with them", core: true, run: (*setup).allDown,
			kubelets: "heartbeats, leases and the status of pods go on; a kubelet restarts; a Node that was taken for lost comes " +
				"back; a new Node joins; mirror pods wait, the static pods run",
			enforced: "the floor under registration; what has `Fail` is refused; what has `Ignore` passes unjudged: see above",
			recorded: "nothing, since nothing is denied by the program; what the floor denies is in the API server's audit log",
			recovers: "when a node of theirs is back: its kubelet registers, reports its pods, and they are endpoints again",
		},
		{
			name: "API servers are cut off from all replicas", run: (*setup).cutOff,
			kubelets: "as above, each refused write after 2 s, each `Ignore` after 1 s", enforced: "as above",
			recorded: "nothing", recovers: "with the next write after the network is back",
		},
		{
			name: "One replica is killed", core: true, run: (*setup).killed,
			kubelets: "a share of the writes with `Fail` is refused until its endpoint is gone; kubelets try again",
			enforced: asEver, recorded: "every denial that was answered",
			recovers: "its kubelet starts it again; its endpoint is out until then",
		},
		{
			name: "One replica hangs", run: (*setup).hangs,
			kubelets: "a share of the writes with `Fail` is refused after 2 s, until its readiness probe has failed twice",
			enforced: asEver, recorded: "every denial that was answered",
			recovers: "its kubelet kills it when its liveness probe has failed for a minute, and 10 s more are over; until then the " +
				"others answer",
		},
		{
			name: "All replicas hang while 600 nodes write", run: (*setup).crowd,
			kubelets: "writes with `Fail` are refused after 2 s; no lease is late", enforced: "as when all are down",
			recorded: "what was answered", recovers: "when they go on, or are killed for it",
		},
		{
			name: "Rolling restart", core: true, run: (*setup).restart,
			kubelets: "no write fails", enforced: asEver, recorded: all, recovers: "nothing to recover from",
		},
		{
			name: "The whole cluster is down, and starts while the program does not", run: (*setup).coldStart,
			kubelets: "register and are Ready as soon as the API server answers", enforced: "as when all are down",
			recorded: "nothing until a replica runs", recovers: "its nodes register, and start the pods that they have",
		},
		{
			name: "The API server is away", run: (*setup).apiServerAway,
			kubelets: "nothing but its absence; a Node that was taken for lost may take a minute to be back, as without the product",
			enforced: "the same policies as before, from the first write on",
			recorded: all, recovers: "at once; no replica restarts or says that it is not ready",
		},
		{
			name: "etcd is frozen for 30 s", run: (*setup).etcdFrozen,
			kubelets: "writes wait, or end with 504", enforced: "nothing can be stored",
			recorded: "every denial, also those whose answer came too late", recovers: "at once; no replica restarts",
		},
		{
			name: "There are two API servers", run: (*setup).twoAPIServers,
			kubelets: asEver, enforced: "by both, a changed policy within 5 s", recorded: all, recovers: "nothing to recover from",
		},
		{
			name: "The definition of policies is deleted, and with it all policies", run: (*setup).definitionDeleted,
			kubelets: asEver, enforced: "the policies that were last known, by every replica that knew them", recorded: all,
			recovers: "when the definition is back, its policies count as they are, none included",
		},
		{
			name: "The program loses its rights", run: (*setup).rightsRemoved,
			kubelets: asEver, enforced: "the policies that were last known", recorded: all,
			recovers: "when the rights are back, within a minute; no replica restarts",
		},
		{
			name: "A policy does not compile", run: (*setup).brokenPolicy,
			kubelets: asEver, enforced: "the last version of the policy that compiled", recorded: all,
			recovers: "when it is corrected; until then its condition `Ready` is `False` and has the field error",
		},
		{
			name: "A policy changes every 2 s", run: (*setup).flips,
			kubelets: asEver, enforced: "each version within 5 s, other policies all the time", recorded: all,
			recovers: "nothing to recover from",
		},
		{
			name: "A Node is deleted while its kubelet runs", run: (*setup).nodeDeleted,
			kubelets: "goes on, and registers again when it restarts", enforced: asEver, recorded: all, recovers: "by that restart",
		},
		{
			name: "Upgrade to another version, and rollback", run: (*setup).upgrade,
			kubelets: "no write fails", enforced: "by both versions at the same time", recorded: "every denial, with the version",
			recovers: "nothing to recover from",
		},
		{
			name: "Uninstalled while all replicas are down", core: true, run: (*setup).uninstall,
			kubelets: "every write passes from that moment on", enforced: "nothing", recorded: "nothing",
			recovers: "`helm install` takes over the definition and the policies that were kept",
		},
		{
			name: "The Deployment is deleted before the webhooks are", run: (*setup).wrongOrder,
			kubelets: "as when all are down, until `kubectl delete validatingwebhookconfiguration`", enforced: "as when all are down",
			recorded: "nothing", recovers: "by deleting the configuration, or by `helm upgrade`",
		},
	}
}
