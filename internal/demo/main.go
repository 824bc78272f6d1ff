// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Command demo is the first part of make demo: it evaluates a few writes with the command review, without a cluster. It is a program of its
// own because it builds in a fraction of the time of the others, and shows something while they build. It must run in the root of the
// repository.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"noderestriction.plus/internal/cli"
	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/fixture"
)

const policies = "config/policies/recommended.yaml"

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run() error {
	// The writes are fixtures of the rules.
	writes := []string{
		"node-labels/allow/registers-with-node-labels", "node-labels/allow/adds-csi-topology",
		"node-labels/deny/adds-label", "node-unschedulable/deny/uncordons-itself",
		"node-finalizers/deny/removes-finalizer", "mirror-pod-labels/allow/labelled-by-its-manifest",
		"mirror-pod-labels/deny/poses-as-replica", "pod-metadata/deny/strips-job-finalizer",
	}
	var reviews bytes.Buffer
	var sentences []string
	for i, name := range writes {
		data, err := os.ReadFile(filepath.Join("policy", "rules", "testdata", name+".txtar"))
		if err != nil {
			return err
		}
		f, err := fixture.Parse(data)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		sentences = append(sentences, f.Comment)
		if err := json.NewEncoder(&reviews).Encode(review(f, i)); err != nil {
			return err
		}
	}
	fmt.Printf("While the control plane builds: the verdicts of `kubectl nrp review --policy %s` on a few writes\n\n", policies)
	answers, err := evaluate(&reviews)
	if err != nil {
		return err
	}
	return show(answers, sentences)
}

// review is the write of a fixture as an API server would send it.
func review(f *fixture.Fixture, number int) *admissionv1.AdmissionReview {
	r := &f.Request
	return &admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{
			UID:         types.UID(fmt.Sprintf("demo-%d", number)),
			Resource:    metav1.GroupVersionResource{Version: "v1", Resource: r.Resource},
			SubResource: r.Subresource,
			Operation:   r.Operation,
			Namespace:   r.Namespace,
			Name:        r.Name,
			UserInfo: authenticationv1.UserInfo{
				Username: "system:node:" + r.NodeName, Groups: []string{"system:nodes", "system:authenticated"},
			},
			Object:    runtime.RawExtension{Raw: r.Object},
			OldObject: runtime.RawExtension{Raw: r.OldObject},
		},
	}
}

// evaluate runs the command review.
func evaluate(reviews *bytes.Buffer) (*bytes.Buffer, error) {
	var answers bytes.Buffer
	root := command.Plugin(command.ByKubectl, cli.Commands()...)
	root.SetArgs([]string{"review", "--policy", policies, "-"})
	root.SetIn(reviews)
	root.SetOut(&answers)
	if code := command.Run(root); code != 0 {
		return nil, fmt.Errorf("review ended with code %d", code)
	}
	return &answers, nil
}

func show(answers *bytes.Buffer, sentences []string) error {
	lines := bufio.NewScanner(answers)
	for _, sentence := range sentences {
		var answer admissionv1.AdmissionReview
		if !lines.Scan() {
			return errors.New("review gave too few answers")
		}
		if err := json.Unmarshal(lines.Bytes(), &answer); err != nil {
			return err
		}
		if answer.Response.Allowed {
			fmt.Printf("  allowed  %s\n", sentence)
			continue
		}
		fmt.Printf("  denied   %s\n           %s\n", sentence, answer.Response.Result.Message)
	}
	return lines.Err()
}
