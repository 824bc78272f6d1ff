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

	// gatekeeperTimeout bounds how long Gatekeeper takes to be ready and to make the kind of its constraint.
	gatekeeperTimeout = 3 * time.Minute

	// thisHost is no loopback address to an API server, so that it speaks HTTP/1.1, as to a Service; but it leads there.
	thisHost = "0.0.0.0"
)

// constraintKind is the kind that Gatekeeper makes of the template.
const constraintKind = "KubeletWrites"

// constraint has Gatekeeper judge by the template what the other variants are asked about.
const constraint = `apiVersion: constraints.gatekeeper.sh/v1beta1
kind: ` + constraintKind + `
metadata: {name: nrp-bench}
spec: {match: {kinds: [{apiGroups: [""], kinds: [Node, Pod]}]}}
`

// startGatekeeper starts Gatekeeper's webhook, with what it needs in the cluster and nothing else of it: no audit, no
// mutation, no external data, no expansion of generators. The template has it make no ValidatingAdmissionPolicy, as it
// would by default: the API server would judge before it.
func (b *bench) startGatekeeper(ctx context.Context, dir, ca string) (*variant, error) {
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
	serving, err := b.plane.CA.Server(thisHost)
	if err != nil {
		return nil, err
	}
	home := filepath.Join(dir, gatekeeper)
	if err := serving.Write(home); err != nil {
		return nil, err
	}
	health := fmt.Sprintf("127.0.0.1:%d", ports[1])
	p, err := process.Start(process.Spec{
		Name: gatekeeper, Path: path, Dir: home, LogFile: filepath.Join(home, "log"),
		Args: []string{
			"--kubeconfig=" + b.kubectl.Kubeconfig,
			"--debug-use-fake-pod", // it runs in none
			"--operation=webhook",
			"--operation=generate", // makes the kind of the constraint
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
	// Not before: it would wait for constraints of a kind that it has yet to make.
	template, err := constraintTemplate()
	if err != nil {
		return nil, err
	}
	if err := b.kubectl.Apply(ctx, template); err != nil {
		return nil, err
	}
	constrained := func(ctx context.Context) error { return b.kubectl.Apply(ctx, []byte(constraint)) }
	if err := p.Await(ctx, constrained); err != nil {
		return nil, err
	}
	return &variant{
		name: gatekeeper, about: "Gatekeeper, the same 6 CEL validations in a ConstraintTemplate",
		// With HTTP/2, which Gatekeeper would take, it would be measured by another standard than the others.
		manifests: judgeEverything(fmt.Sprintf("https://%s:%d/v1", thisHost, ports[0]), ca),
		process:   p,
		url:       fmt.Sprintf("https://127.0.0.1:%d/v1/admit", ports[0]),
		calls:     gatekeeperCalls(fmt.Sprintf("http://127.0.0.1:%d/metrics", ports[2])), denies: true,
	}, nil
}

// installGatekeeper applies Gatekeeper's definitions and the namespace into which it writes how it is.
func (b *bench) installGatekeeper(ctx context.Context) error {
	definitions, err := gatekeeperDefinitions(ctx)
	if err != nil {
		return err
	}
	if err := b.kubectl.Apply(ctx, definitions); err != nil {
		return err
	}
	if _, err := b.kubectl.Run(ctx, nil, "wait", "--for=condition=Established", "--timeout=1m",
		"customresourcedefinitions", "--selector=gatekeeper.sh/system=yes"); err != nil {
		return err
	}
	return b.kubectl.Apply(ctx, []byte("{apiVersion: v1, kind: Namespace, metadata: {name: gatekeeper-system}}"))
}

// gatekeeperDefinitions are the CustomResourceDefinitions of the chart in Gatekeeper's module.
func gatekeeperDefinitions(ctx context.Context) ([]byte, error) {
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

// constraintTemplate says to Gatekeeper what the admission policy says to the API server, in the same expressions.
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

// gatekeeperCalls is how often Gatekeeper has been asked.
func gatekeeperCalls(url string) func(context.Context) (float64, error) {
	return func(ctx context.Context) (float64, error) {
		m, err := metrics.FromURL(ctx, url)
		return m.Sum("gatekeeper_validation_request_count_total"), err
	}
}
