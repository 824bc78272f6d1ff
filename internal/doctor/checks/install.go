// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"cmp"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"

	"noderestriction.plus/internal/program"
	"noderestriction.plus/internal/wiring"
)

// Install is how this product is installed.
type Install struct {
	// Configuration is its ValidatingWebhookConfiguration; nil if it does not exist.
	Configuration *admissionregistrationv1.ValidatingWebhookConfiguration
	// Namespace and Service are what its webhooks call; empty if they call a URL.
	Namespace, Service string
}

// ourDomain ends the names of this product's webhooks.
const ourDomain = ".noderestriction.plus"

// InstallOf finds the product among all configurations.
func InstallOf(all []admissionregistrationv1.ValidatingWebhookConfiguration) Install {
	var in Install
	for i := range all {
		c := &all[i]
		_, annotated := c.Annotations[wiring.Annotation]
		ours := annotated || slices.ContainsFunc(c.Webhooks, func(w admissionregistrationv1.ValidatingWebhook) bool {
			return strings.HasSuffix(w.Name, ourDomain)
		})
		// One of the usual name counts before others.
		if ours && (in.Configuration == nil || c.Name == program.Name) {
			in.Configuration = c
		}
	}
	if in.Configuration == nil {
		return in
	}
	for _, w := range in.Configuration.Webhooks {
		if service := w.ClientConfig.Service; service != nil {
			in.Namespace, in.Service = service.Namespace, service.Name
			break
		}
	}
	return in
}

// name is the name of the configuration, or the usual one.
func (in *Install) name() string {
	if in.Configuration == nil {
		return program.Name
	}
	return in.Configuration.Name
}

// namespace is the namespace of the program, or the usual one.
func (in *Install) namespace() string { return cmp.Or(in.Namespace, program.Name) }

// floor returns the names of the policies of the floor that were installed with the configuration.
func (in *Install) floor() []string {
	if in.Configuration == nil {
		return nil
	}
	installed, err := wiring.Decode[wiring.Installed](in.Configuration.Annotations)
	if err != nil {
		return nil
	}
	return installed.Floor
}

// again is the fix that restores what no patch can: expressions are known only by their digests.
func (in *Install) again() Fix {
	if in.Configuration != nil {
		annotations := in.Configuration.Annotations
		release, namespace := annotations["meta.helm.sh/release-name"], annotations["meta.helm.sh/release-namespace"]
		if release != "" && namespace != "" {
			fix := shell(OnCluster, "helm", "get", "manifest", release, "--namespace="+namespace)
			if fix.Command != "" {
				fix.Command += " | kubectl apply --server-side --force-conflicts -f -"
			}
			return fix
		}
	}
	return Fix{On: OnCluster, Note: "apply again what installed it: helm upgrade, or the output of helm template"}
}
