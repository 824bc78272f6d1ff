// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

const metricsHead = `<!-- Generated from the program's own metrics and internal/docs/metrics_topics.go by make generate. -->

# Metrics

Each replica serves its metrics at ` + "`--metrics-bind-address`" + `, ` + "`/metrics`" + `, over TLS to clients that may get the
non-resource URL. All counters start at 0 when a replica starts.

No label has the name of a node, a user or an object, or any other text that a client chooses: 10,000 nodes have the same series as
one. Only ` + "`policy`" + ` × ` + "`rule`" + ` grows, with the policies that administrators write, up to 100 names. The
[records](denials.md) say which node was denied what.

There are a [dashboard](../config/dashboards/node-restriction-plus.json), [alerts](../config/alerts/node-restriction-plus.yaml) and
a [page for each alert](runbooks/README.md). The dashboard has variables for clusters, namespaces and replicas. Its row of denied writes in the
log, with the names of nodes, is collapsed: it needs Loki, with the labels ` + "`namespace` and `container`" + `, and asks nothing until you open it.

The libraries add their own metrics: ` + "`go_*` and `process_*`" + ` of the Go runtime, ` +
	"`controller_runtime_*`, `workqueue_*`, `rest_client_*` and `certwatcher_*`" + ` of controller-runtime.
There are no exemplars, because controller-runtime's metrics server does not support the format that has them.
`

const metricsTail = `
## Metrics of the API server

Some writes never reach the webhook, or are decided without it; only the API server counts them, in its own ` + "`/metrics`" + `. The
label ` + "`name`" + ` is the name of a webhook, such as ` + "`gate.noderestriction.plus`" + `.

| metric | meaning | what to do |
|---|---|---|
| ` + "`apiserver_admission_webhook_rejection_count{error_type=\"no_error\"}`" + ` | writes that a replica denied, as the API server saw them, with probes; otherwise it equals ` + "`node_restriction_plus_denials_total`" + `, which does not count late answers | if they differ for long, look for replicas that are not scraped |
| ` + "`apiserver_admission_webhook_rejection_count{error_type=\"calling_webhook_error\"}`" + ` | writes refused because no replica answered, where failurePolicy is Fail | [NodeRestrictionPlusCallErrors](runbooks/NodeRestrictionPlusCallErrors.md) |
| ` + "`apiserver_admission_webhook_fail_open_count`" + ` | writes that passed without evaluation because no replica answered, where failurePolicy is Ignore | [NodeRestrictionPlusFailOpen](runbooks/NodeRestrictionPlusFailOpen.md) |
| ` + "`apiserver_admission_match_condition_evaluation_errors_total`" + ` | match conditions that could not be evaluated; with failurePolicy Ignore the write passes, and no other metric shows it | [NodeRestrictionPlusMatchConditionErrors](runbooks/NodeRestrictionPlusMatchConditionErrors.md) |
| ` + "`apiserver_admission_webhook_admission_duration_seconds`" + ` | the time that a webhook adds to a write, including the network; beyond ` + "`timeoutSeconds`" + ` (1 s or 2 s) it is a call error | [NodeRestrictionPlusSlow](runbooks/NodeRestrictionPlusSlow.md) |
| ` + "`apiserver_admission_match_condition_exclusions_total`" + ` | writes that match conditions excluded: those of all clients that are not kubelets, and pure heartbeats | nothing; it shows how many calls the match conditions save |
`

// topics returns the sections of the page in order. Each metric of the program has one row.
func topics() []topic {
	return []topic{
		{"Denials", []advice{
			{
				"node_restriction_plus_denials_total",
				"A steady rate is a kubelet that retries: a denied nodes/status comes back 30 times a minute. Look at the policy's " +
					"status (`kubectl get nrp`), then at the records of the node.",
			},
			{
				"node_restriction_plus_violations_total",
				"Group by policy and rule to see what is denied, and by action to see what Audit or Warn would deny before you " +
					"turn Deny on. The rule `unverified` is a write that could not be evaluated: its record says why.",
			},
			{
				"node_restriction_plus_late_answers_total",
				"Any increase: [NodeRestrictionPlusLateAnswers](runbooks/NodeRestrictionPlusLateAnswers.md).",
			},
			{
				"node_restriction_plus_evaluations_total",
				"A rate of 0 while kubelets write labels or pod metadata means that the API server does not call the webhook; see the " +
					"[probe](runbooks/NodeRestrictionPlusProbeFailing.md).",
			},
		}},
		{"Records", []advice{
			{
				"node_restriction_plus_records_written_total",
				"Nothing. Together with the lost records it is the highest `seq` of this run, not counting records that are being written.",
			},
			{
				"node_restriction_plus_records_lost_total",
				"Any increase: [NodeRestrictionPlusRecordsLost](runbooks/NodeRestrictionPlusRecordsLost.md).",
			},
			{
				"node_restriction_plus_file_records_dropped_total",
				"The second copy of the records has a gap; the log says why. The denial log is not affected.",
			},
			{
				"node_restriction_plus_events_written_total",
				"Nothing. It grows by at most 256 per replica in 30 s.",
			},
			{
				"node_restriction_plus_events_dropped_total",
				"Events are a convenience, and are dropped under load on purpose. The records are complete.",
			},
		}},
		{"Policies", []advice{
			{
				"node_restriction_plus_policies",
				"`not_ready` above 0: [NodeRestrictionPlusPolicyNotReady](runbooks/NodeRestrictionPlusPolicyNotReady.md).",
			},
			{
				"node_restriction_plus_policy_ready",
				"0: `kubectl describe nrp <policy>` has each error with its field.",
			},
			{
				"node_restriction_plus_policies_last_sync_timestamp_seconds",
				"`time()` minus this is the age of what is enforced: " +
					"[NodeRestrictionPlusPoliciesStale](runbooks/NodeRestrictionPlusPoliciesStale.md).",
			},
			{
				"node_restriction_plus_policy_source_lost",
				"1: [NodeRestrictionPlusPolicySourceLost](runbooks/NodeRestrictionPlusPolicySourceLost.md).",
			},
			{
				"node_restriction_plus_watch_errors_total",
				"A few are normal when the API server restarts. If it persists: " +
					"[NodeRestrictionPlusWatchErrors](runbooks/NodeRestrictionPlusWatchErrors.md).",
			},
		}},
		{"Requests", []advice{
			{
				"node_restriction_plus_evaluation_duration_seconds",
				"The time of the rules alone. If it rises, look at how many policies match by `nodeSelector`.",
			},
			{
				"node_restriction_plus_request_duration_seconds",
				"Beyond 100 ms: [NodeRestrictionPlusSlow](runbooks/NodeRestrictionPlusSlow.md). If evaluation is fast and this is " +
					"slow, the cause is the client, too little CPU, or the log that takes the records.",
			},
			{
				"node_restriction_plus_oldest_request_age_seconds",
				"Beyond the timeout of the webhooks (1 s or 2 s): " +
					"[NodeRestrictionPlusRequestStuck](runbooks/NodeRestrictionPlusRequestStuck.md).",
			},
			{
				"node_restriction_plus_requests_refused_total",
				"`not_synced` for a moment after a start is normal; for `busy` see `node_restriction_plus_requests_shed_total`. The others " +
					"do not come from an API server: find out who else reaches the port.",
			},
			{
				"node_restriction_plus_requests_shed_total",
				"`bytes` and `requests`: more replicas, or higher `--max-body-bytes-in-flight` and `--max-requests-in-flight`. " +
					"`large-bytes`: a client sends many objects above 1 MiB, which are denied.",
			},
			{
				"node_restriction_plus_panics_total",
				"Report it, with the stack from the log: [NodeRestrictionPlusPanics](runbooks/NodeRestrictionPlusPanics.md).",
			},
			{
				"node_restriction_plus_listener_panics_total",
				"The same as for `node_restriction_plus_panics_total`.",
			},
		}},
		{"Connections and certificates", []advice{
			{
				"node_restriction_plus_connections",
				"Near `--max-connections` with few API servers: other clients connect. A NetworkPolicy or `--client-ca-file` keeps " +
					"them out.",
			},
			{"node_restriction_plus_connections_evicted_total", "An increase means that the bound was reached; see `node_restriction_plus_connections`."},
			{
				"node_restriction_plus_connection_errors_total",
				"A steady rate after a change of certificates: the API server does not trust the new one. The log names the error.",
			},
			{
				"node_restriction_plus_certificate_expiry_timestamp_seconds",
				"Less than 7 days away: " +
					"[NodeRestrictionPlusCertificateExpiring](runbooks/NodeRestrictionPlusCertificateExpiring.md).",
			},
			{
				"node_restriction_plus_certificate_reload_errors_total",
				"If it persists: [NodeRestrictionPlusReloadErrors](runbooks/NodeRestrictionPlusReloadErrors.md).",
			},
		}},
		{"The webhook itself", []advice{
			{"node_restriction_plus_build_info", "More than one version for longer than a rollout: complete the rollout."},
			{
				"node_restriction_plus_ready",
				"0 for minutes: [NodeRestrictionPlusReplicaNotReady](runbooks/NodeRestrictionPlusReplicaNotReady.md).",
			},
			{
				"node_restriction_plus_enforcement_probe_success",
				"0: [NodeRestrictionPlusProbeFailing](runbooks/NodeRestrictionPlusProbeFailing.md).",
			},
			{
				"node_restriction_plus_enforcement_probe_last_success_timestamp_seconds",
				"When enforcement was last verified.",
			},
			{
				"node_restriction_plus_enforcement_probes_total",
				"`allowed`: writes that must be denied pass. `failed`: the probe itself could not be sent.",
			},
			{
				"node_restriction_plus_wiring_differences",
				"Above 0: [NodeRestrictionPlusWiringChanged](runbooks/NodeRestrictionPlusWiringChanged.md).",
			},
			{
				"node_restriction_plus_wiring_check_success",
				"0 for minutes: [NodeRestrictionPlusWiringUnknown](runbooks/NodeRestrictionPlusWiringUnknown.md).",
			},
			{
				"node_restriction_plus_policies_not_sent",
				"Above 0: [NodeRestrictionPlusSubjectsNotSent](runbooks/NodeRestrictionPlusSubjectsNotSent.md).",
			},
			{
				"node_restriction_plus_conditions_current",
				"0 for minutes: [NodeRestrictionPlusConditionsOutdated](runbooks/NodeRestrictionPlusConditionsOutdated.md). Only with " +
					"`webhook.followPolicies`, as are the next ones.",
			},
			{
				"node_restriction_plus_conditions_writes_total",
				"`changed`: somebody edits the match conditions; `chart` also after each `helm upgrade`. Often: " +
					"[NodeRestrictionPlusConditionsContested](runbooks/NodeRestrictionPlusConditionsContested.md).",
			},
			{
				"node_restriction_plus_conditions_write_errors_total",
				"The log and the condition `Gated` of each policy say why.",
			},
			{
				"node_restriction_plus_conditions_rules_left",
				"`refused` above 0: [NodeRestrictionPlusPolicyNotGated](runbooks/NodeRestrictionPlusPolicyNotGated.md).",
			},
		}},
	}
}
