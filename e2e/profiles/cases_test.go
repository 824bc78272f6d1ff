// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package profiles_test

import (
	"encoding/base64"

	"noderestriction.plus/e2e/controlplane"
)

// renderings returns sets of values, in the form of Helm's flags.
func renderings(ca *controlplane.CA, distributions []string) map[string][]string {
	bundle := "--set=webhook.caBundle=" + base64.StdEncoding.EncodeToString(ca.PEM())
	provided := "--set=certificates.mode=provided,certificates.provided.secretName=serving"
	files := "--set=profile=controlPlane,controlPlane.static.enabled=true,certificates.mode=provided"
	all := map[string][]string{
		"by default": nil,

		"profile observe":      {"--set=profile=observe"},
		"profile balanced":     {"--set=profile=balanced,policies.recommended=Deny"},
		"profile strict":       {"--set=profile=strict,policies.recommended=Deny,policies.strict=Deny"},
		"profile controlPlane": {"--set=profile=controlPlane,policies.recommended=Deny"},
		"files":                {files + ",policies.recommended=Deny,policies.strict=Deny", bundle, alsoBind("User")},
		"files, with client certificates": {
			files, bundle,
			"--set=controlPlane.static.clientCA=/etc/kubernetes/nrp/ca.crt,clientCertificates.allowedNames={kube-apiserver}",
		},

		"a certificate of cert-manager": {"--set=certificates.mode=certManager"},
		"a certificate of an existing issuer": {
			"--set=certificates.mode=certManager,certificates.certManager.issuerRef.name=mine",
			"--set=certificates.certManager.issuerRef.kind=ClusterIssuer,certificates.certManager.issuerRef.group=cert-manager.io",
		},
		"a certificate of cert-manager on control-plane nodes": {"--set=profile=controlPlane,certificates.mode=certManager"},
		"a certificate in a Secret":                            {provided, bundle},
		"a certificate in a Secret on control-plane nodes":     {"--set=profile=controlPlane", provided, bundle},

		"policies that deny, with no floor": {"--set=policies.recommended=Deny,policies.strict=Deny,floor.enabled=false"},
		"policies that record":              {"--set=policies.recommended=Audit,policies.strict=Audit"},
		"no policies":                       {"--set=policies.recommended=Off,policies.strict=Off"},
		"policies, if the CRD is installed": {
			"--set=policies.recommended=Deny", "--api-versions=noderestriction.plus/v1alpha1",
		},
		"further policies": {
			"--set-json=policies.extra=" + `{"mine":{"validationActions":["Warn"],"nodes":{"finalizers":{}}}}`,
			"--set-json=policies.adapt.recommended=" + `{"nodes":{"labels":{"registration":{"denied":["example.com/pci"]}}}}`,
		},

		"outside the cluster":      {"--set=webhook.url=https://10.0.0.1:9443", bundle, alsoBind("ServiceAccount")},
		"metrics only for the pod": {"--set=metrics.secure=false,priorityClassName="},
		"no metrics":               {"--set=metrics.enabled=false,crds.keep=false"},
		"no CRD":                   {"--set=crds.enabled=false"},
		"following policies":       {"--set=webhook.followPolicies=true,policies.recommended=Deny"},
		"attacks by helm test":     {"--set=tests.attack.enabled=true,tests.attack.node=worker-1"},
		"every switch":             everySwitch("--set=clientCertificates.secret=clients"),
		"every switch on control-plane nodes": everySwitch(
			"--set=profile=controlPlane,clientCertificates.configMap=clients"),
	}
	for _, distribution := range distributions {
		all["for "+distribution] = []string{"--set=policies.recommended=Deny,policies.distribution=" + distribution}
	}
	return all
}

// alsoBind binds the program's permissions to another subject, too.
func alsoBind(kind string) string {
	if kind == "User" {
		return `--set-json=rbac.subjects=[{"kind":"User","name":"nrp","apiGroup":"rbac.authorization.k8s.io"}]`
	}
	return `--set-json=rbac.subjects=[{"kind":"ServiceAccount","name":"nrp","namespace":"default"}]`
}

// everySwitch returns values that switch on everything that is off by default.
func everySwitch(more ...string) []string {
	return append([]string{
		"--set=policies.recommended=Deny,policies.strict=Deny,webhook.registrationFailurePolicy=Fail",
		"--set=image.digest=sha256:0123456789012345678901234567890123456789012345678901234567890123",
		"--set-json=imagePullSecrets=" + `["pull",{"name":"pull-2"}]`,
		"--set=clientCertificates.allowedNames={kube-apiserver,kube-apiserver-2}",
		"--set=rules.serviceAccountTokens=true,rules.csiNodes=true,rules.resourceSlices=true,rules.events=true",
		"--set=baseline={pods,persistentvolumeclaims,serviceaccounts,leases,csinodes,resourceslices," +
			"certificatesigningrequests,podcertificaterequests}",
		"--set=hostNetwork=true,denialLog.file.enabled=true,enforcementProbe.enabled=true,pprofBindAddress=127.0.0.1:6060",
		"--set-json=denialLog.file.volume=" + `{"persistentVolumeClaim":{"claimName":"denials"}}`,
		"--set=monitoring.serviceMonitor.enabled=true,monitoring.podMonitor.enabled=true",
		"--set=monitoring.prometheusRule.enabled=true,monitoring.dashboard.enabled=true",
		"--set-json=monitoring.podMonitor.authorization=" + `{"credentials":{"name":"token","key":"token"}}`,
		"--set-json=monitoring.serviceMonitor.authorization=" + `{"credentials":{"name":"token","key":"token"}}`,
		"--set=networkPolicy.enabled=true,networkPolicy.apiServerCIDRs={10.0.0.0/24}",
		"--set-json=networkPolicy.metricsFrom=" + `[{"namespaceSelector":{"matchLabels":{"name":"monitoring"}}}]`,
		"--set=commonAnnotations.team=nodes,webhook.annotations.a=b,webhook.timeoutSeconds.gate=30,webhook.timeoutSeconds.status=3",
		"--set=webhook.service.annotations.a=b,webhook.service.ipFamilyPolicy=PreferDualStack,webhook.service.ipFamilies={IPv4}",
		"--set=serviceAccount.name=mine,serviceAccount.labels.a=b,global.imageRegistry=registry.example.com",
		"--set=podSecurityContext.runAsUser=null,podSecurityContext.fsGroup=null,securityContext.runAsUser=null",
		"--set-json=topologySpreadConstraints=" + `[{"maxSkew":2,"topologyKey":"a","whenUnsatisfiable":"DoNotSchedule"}]`,
		"--set-json=extraContainers=" + `[{"name":"a","image":"a"}]`,
		"--set-json=extraInitContainers=" + `[{"name":"b","image":"b"}]`,
		"--set=commonLabels.team=nodes,annotations.a=b,podAnnotations.a=b,podLabels.a=b,serviceAccount.annotations.a=b",
		"--set-json=tolerations=" + `[{"key":"a","operator":"Exists"}]`,
		"--set-json=affinity=" + `{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":` +
			`[{"matchExpressions":[{"key":"a","operator":"Exists"}]}]}}}`,
		"--set=extraArgs={--log-level=error},extraEnv[0].name=A,extraEnv[0].value=b",
		"--set-json=extraVolumes=" + `[{"name":"v","emptyDir":{}}]`,
		"--set-json=extraVolumeMounts=" + `[{"name":"v","mountPath":"/v"}]`,
	}, more...)
}
