// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"sigs.k8s.io/yaml"

	"noderestriction.plus/e2e/binaries"
	"noderestriction.plus/e2e/metrics"
	"noderestriction.plus/e2e/process"
)

const (
	gatekeeper = "gatekeeper" // Gatekeeper, with rules in CEL

	// gatekeeperTimeout bounds how long Gatekeeper takes to become ready and to create the CRD of its constraint.
	gatekeeperTimeout = 3 * time.Minute

	// thisHost leads to loopback, but API servers do not know that and use HTTP/1.1, as for a Service.
	thisHost = "0.0.0.0"
)

// constraintKind is the kind that Gatekeeper creates from the template.
const constraintKind = "KubeletWrites"

// constraint makes Gatekeeper evaluate the same writes as the other variants.
const constraint = `apiVersion: constraints.gatekeeper.sh/v1beta1
kind: ` + constraintKind + `
metadata: {name: nrp-bench}
spec: {match: {kinds: [{apiGroups: [""], kinds: [Node, Pod]}]}}
`

// startGatekeeper starts Gatekeeper's webhook without audit, mutation, external data and expansion of generators. By default,
// Gatekeeper would also create a ValidatingAdmissionPolicy from the template, which the API server would evaluate first.
func (b *bench) startGatekeeper(ctx context.Context, ca string) (*variant, error) {
	path, err := binaries.Path(ctx, os.Stderr, binaries.Gatekeeper())
	if err != nil {
		return nil, err
	}
	if err := b.installGatekeeper(ctx); err != nil {
		return nil, err
	}
	ports, err := process.FreePorts(3)
	if err != nil {
		return nil, err
	}
	serving, err := b.ControlPlane.CA.Server(thisHost)
	if err != nil {
		return nil, err
	}
	home := filepath.Join(b.Dir, gatekeeper)
	if err := serving.Write(home); err != nil {
		return nil, err
	}
	health := fmt.Sprintf("127.0.0.1:%d", ports[1])
	p, err := process.Start(process.Spec{
		Name: gatekeeper, Path: path, Dir: home, LogFile: filepath.Join(home, "log"),
		Args: []string{
			"--kubeconfig=" + b.Kubectl.Kubeconfig,
			"--debug-use-fake-pod", // it does not run in a pod
			"--operation=webhook",
			"--operation=generate", // creates the CRD of the constraint
			"--enable-external-data=false",
			"--enable-generator-resource-expansion=false",
			"--host=127.0.0.1",
			fmt.Sprintf("--port=%d", ports[0]),
			"--cert-dir=" + home,
			"--disable-cert-rotation",
			"--health-addr=" + health,
			fmt.Sprintf("--prometheus-port=%d", ports[2]),
		},
	})
	if err != nil {
		return nil, err
	}
	b.started = append(b.started, p)
	ctx, cancel := context.WithTimeout(ctx, gatekeeperTimeout)
	defer cancel()
	ready := func(ctx context.Context) error { return process.CheckURL(ctx, "http://"+health+"/readyz") }
	if err := p.Await(ctx, ready); err != nil {
		return nil, err
	}
	// Not before: it would wait for constraints whose CRD it has not created yet.
	template, err := constraintTemplate()
	if err != nil {
		return nil, err
	}
	if err := b.Kubectl.Apply(ctx, template); err != nil {
		return nil, err
	}
	constrained := func(ctx context.Context) error { return b.Kubectl.Apply(ctx, []byte(constraint)) }
	if err := p.Await(ctx, constrained); err != nil {
		return nil, err
	}
	return &variant{
		name: gatekeeper, about: "Gatekeeper, the same 6 CEL validations in a ConstraintTemplate",
		// Gatekeeper also accepts HTTP/2, which would make the comparison unfair.
		manifests: callForEverything(fmt.Sprintf("https://%s:%d/v1", thisHost, ports[0]), ca),
		process:   p,
		url:       fmt.Sprintf("https://127.0.0.1:%d/v1/admit", ports[0]),
		calls:     gatekeeperCalls(fmt.Sprintf("http://127.0.0.1:%d/metrics", ports[2])), denies: true,
	}, nil
}

// installGatekeeper applies Gatekeeper's CRDs and the namespace of its status.
func (b *bench) installGatekeeper(ctx context.Context) error {
	crds, err := gatekeeperCRDs(ctx)
	if err != nil {
		return err
	}
	if err := b.Kubectl.Apply(ctx, crds); err != nil {
		return err
	}
	if _, err := b.Kubectl.Run(ctx, nil, "wait", "--for=condition=Established", "--timeout=1m",
		"customresourcedefinitions", "--selector=gatekeeper.sh/system=yes"); err != nil {
		return err
	}
	return b.Kubectl.Apply(ctx, []byte("{apiVersion: v1, kind: Namespace, metadata: {name: gatekeeper-system}}"))
}

// gatekeeperCRDs returns the CRDs of the chart in Gatekeeper's module.
func gatekeeperCRDs(ctx context.Context) ([]byte, error) {
	module, err := binaries.ModuleDir(ctx, "e2e/tools/gatekeeper", "github.com/open-policy-agent/gatekeeper/v3")
	if err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(module, "charts", "gatekeeper", "crds", "*.yaml"))
	if err != nil {
		return nil, err
	}
	documents := make([][]byte, len(files))
	for i, file := range files {
		if documents[i], err = os.ReadFile(file); err != nil {
			return nil, err
		}
	}
	return bytes.Join(documents, []byte("\n---\n")), nil
}

// constraintTemplate returns the admission policy as a ConstraintTemplate, with the same expressions.
func constraintTemplate() ([]byte, error) {
	document, _, _ := strings.Cut(admissionPolicy, "---\n")
	policy := &admissionregistrationv1.ValidatingAdmissionPolicy{}
	if err := yaml.UnmarshalStrict([]byte(document), policy); err != nil {
		return nil, fmt.Errorf("admission policy: %w", err)
	}
	var validations []any
	for _, v := range policy.Spec.Validations {
		validations = append(validations, map[string]any{"expression": v.Expression})
	}
	return yaml.Marshal(map[string]any{
		"apiVersion": "templates.gatekeeper.sh/v1",
		"kind":       "ConstraintTemplate",
		"metadata":   map[string]any{"name": strings.ToLower(constraintKind)},
		"spec": map[string]any{
			"crd": map[string]any{"spec": map[string]any{"names": map[string]any{"kind": constraintKind}}},
			"targets": []any{map[string]any{
				"target": "admission.k8s.gatekeeper.sh",
				"code": []any{map[string]any{
					"engine": "K8sNativeValidation",
					"source": map[string]any{
						"failurePolicy":  policy.Spec.FailurePolicy,
						"generateVAP":    false,
						"matchCondition": policy.Spec.MatchConditions, // Gatekeeper's name for them
						"validations":    validations,
					},
				}},
			}},
		},
	})
}

// gatekeeperCalls returns a function that returns how often Gatekeeper was called.
func gatekeeperCalls(url string) func(context.Context) (float64, error) {
	return func(ctx context.Context) (float64, error) {
		m, err := metrics.FromURL(ctx, url)
		return m.Sum("gatekeeper_validation_request_count_total"), err
	}
}
