// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

const metricsHead = `<!-- Generated from the program's own metrics and internal/docs/metrics_topics.go by make generate. -->

# Metrics

Each replica serves its metrics at ` + "`--metrics-bind-address`" + `, ` + "`/metrics`" + `, over TLS to whoever may get the
non-resource URL. All counters begin at 0 when a replica starts.

No label holds a name of a node, a user or an object, or any other text that a sender chooses: 10,000 nodes have the same series
as one. What grows is ` + "`policy`" + ` × ` + "`rule`" + `, with the policies that administrators write, up to 100 names.
Who was denied what is in the records, not here.

There are a [dashboard](../config/dashboards/node-restriction-plus.json), [alerts](../config/alerts/node-restriction-plus.yaml) and
a [page for each alert](runbooks/README.md).

Beside these the program has the metrics of its libraries: ` + "`go_*` and `process_*`" + ` of the Go runtime, ` +
	"`controller_runtime_*`, `workqueue_*`, `rest_client_*` and `certwatcher_*`" + ` of controller-runtime.
There are no exemplars: controller-runtime's metrics server does not speak the format that carries them.
`

const metricsTail = `
## What the API server counts

Some writes never reach this program, or are decided without it; only the API server knows of them. Its metrics are at its
own ` + "`/metrics`" + `; ` + "`name`" + ` is the name of a webhook, such as ` + "`gate.noderestriction.plus`" + `.

| metric | what it tells | what to do |
|---|---|---|
| ` + "`apiserver_admission_webhook_rejection_count{error_type=\"no_error\"}`" + ` | writes that a replica denied, as the API server saw them; equals ` + "`node_restriction_plus_denials_total`" + `, in which late answers are not counted | if they differ for long, look for replicas that are not scraped |
| ` + "`apiserver_admission_webhook_rejection_count{error_type=\"calling_webhook_error\"}`" + ` | writes refused because no replica answered, where failurePolicy is Fail | [NodeRestrictionPlusCallErrors](runbooks/NodeRestrictionPlusCallErrors.md) |
| ` + "`apiserver_admission_webhook_fail_open_count`" + ` | writes let through unjudged because no replica answered, where failurePolicy is Ignore | [NodeRestrictionPlusFailOpen](runbooks/NodeRestrictionPlusFailOpen.md) |
| ` + "`apiserver_admission_match_condition_evaluation_errors_total`" + ` | match conditions that could not be evaluated; under Ignore the write goes through, and no other metric tells | [NodeRestrictionPlusMatchConditionErrors](runbooks/NodeRestrictionPlusMatchConditionErrors.md) |
| ` + "`apiserver_admission_webhook_admission_duration_seconds`" + ` | the time that a webhook adds to a write, network included; beyond ` + "`timeoutSeconds`" + ` (1 s or 2 s) it is a call error | [NodeRestrictionPlusSlow](runbooks/NodeRestrictionPlusSlow.md) |
| ` + "`apiserver_admission_match_condition_exclusions_total`" + ` | writes that match conditions kept from being sent: everybody who is no kubelet, and pure heartbeats | nothing; it shows what the wiring saves |
`

// topics returns the sections of the page in order. Each metric of the program has one row.
func topics() []topic {
	return []topic{
		{"Denials", []advice{
			{
				"node_restriction_plus_denials_total",
				"A steady rate is a kubelet that tries again and again: a denied nodes/status comes back 30 times a minute. Look at " +
					"the policy's status (`kubectl get nrp`), then at the records for the node.",
			},
			{
				"node_restriction_plus_violations_total",
				"Group by policy and rule to see what is denied, and by action to see what Audit or Warn would deny before you " +
					"turn Deny on. Rule `unverified` is a write that could not be evaluated: its record says why.",
			},
			{
				"node_restriction_plus_late_answers_total",
				"Any increase: [NodeRestrictionPlusLateAnswers](runbooks/NodeRestrictionPlusLateAnswers.md).",
			},
			{
				"node_restriction_plus_evaluations_total",
				"A rate of 0 while kubelets write labels or pod metadata means that the API server does not ask; see the " +
					"[probe](runbooks/NodeRestrictionPlusProbeFailing.md).",
			},
		}},
		{"Records", []advice{
			{
				"node_restriction_plus_records_written_total",
				"Nothing. Together with those lost it is the highest `seq` of this run, but for those on their way.",
			},
			{
				"node_restriction_plus_records_lost_total",
				"Any increase: [NodeRestrictionPlusRecordsLost](runbooks/NodeRestrictionPlusRecordsLost.md).",
			},
			{
				"node_restriction_plus_file_records_dropped_total",
				"The second copy of the records has a gap; the log says why. The denial log is not concerned.",
			},
			{
				"node_restriction_plus_events_written_total",
				"Nothing. It grows by at most 256 in 30 s and replica.",
			},
			{
				"node_restriction_plus_events_dropped_total",
				"Events are a convenience, and dropped under load by intention. The records have everything.",
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
				"A few are normal when the API server restarts. If it goes on: " +
					"[NodeRestrictionPlusWatchErrors](runbooks/NodeRestrictionPlusWatchErrors.md).",
			},
		}},
		{"Requests", []advice{
			{
				"node_restriction_plus_evaluation_duration_seconds",
				"The time of the rules alone. If it rises look at how many policies match by `nodeSelector`.",
			},
			{
				"node_restriction_plus_request_duration_seconds",
				"Beyond 100 ms: [NodeRestrictionPlusSlow](runbooks/NodeRestrictionPlusSlow.md). If evaluation is fast and this is " +
					"slow, it is the sender, too little CPU, or the log that takes the records.",
			},
			{
				"node_restriction_plus_oldest_request_age_seconds",
				"Beyond the timeout of the webhooks (1 s or 2 s): " +
					"[NodeRestrictionPlusRequestStuck](runbooks/NodeRestrictionPlusRequestStuck.md).",
			},
			{
				"node_restriction_plus_requests_refused_total",
				"`not_synced` for a moment after a start is normal, `busy` is a lack of room (see shed). The others do not come from an " +
					"API server: see who else reaches the port.",
			},
			{
				"node_restriction_plus_requests_shed_total",
				"`bytes` and `requests`: more replicas, or higher `--max-body-bytes-in-flight` and `--max-requests-in-flight`. " +
					"`large-bytes`: somebody sends many objects above 1 MiB; those are denied.",
			},
			{
				"node_restriction_plus_panics_total",
				"Report it, with the stack from the log: [NodeRestrictionPlusPanics](runbooks/NodeRestrictionPlusPanics.md).",
			},
			{
				"node_restriction_plus_listener_panics_total",
				"As for `node_restriction_plus_panics_total`.",
			},
		}},
		{"Connections and certificates", []advice{
			{
				"node_restriction_plus_connections",
				"Near `--max-connections` with few API servers: somebody else connects. A NetworkPolicy or `--client-ca-file` keeps " +
					"them out.",
			},
			{"node_restriction_plus_connections_evicted_total", "An increase means that the bound was reached; see above."},
			{
				"node_restriction_plus_connection_errors_total",
				"A steady rate after a change of certificates: the API server does not trust this one. The log names the error.",
			},
			{
				"node_restriction_plus_certificate_expiry_timestamp_seconds",
				"Less than 7 days away: " +
					"[NodeRestrictionPlusCertificateExpiring](runbooks/NodeRestrictionPlusCertificateExpiring.md).",
			},
			{
				"node_restriction_plus_certificate_reload_errors_total",
				"If it goes on: [NodeRestrictionPlusReloadErrors](runbooks/NodeRestrictionPlusReloadErrors.md).",
			},
		}},
		{"The program", []advice{
			{"node_restriction_plus_build_info", "More than one version for longer than a rollout: finish it."},
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
				"Since when enforcement is not proven.",
			},
			{
				"node_restriction_plus_enforcement_probes_total",
				"`allowed`: writes that must be denied go through. `failed`: the probe itself could not be made.",
			},
		}},
	}
}
