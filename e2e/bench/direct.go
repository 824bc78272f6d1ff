// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"noderestriction.plus/e2e/load"
	"noderestriction.plus/internal/reviewload"
)

const (
	// warmUp is the number of reviews before the measured ones.
	warmUp = 500
	// overload is the number of clients in an overload, as a multiple of the largest other number.
	overload = 8
)

// directReview is a review that is sent without an API server.
type directReview struct {
	name, about string
	// make returns the review of a write by the kubelet of a node.
	make func(nodeName string) ([]byte, error)
}

// directReviews are a write that a kubelet repeats, and those that cost the product most.
func directReviews() []directReview {
	return []directReview{
		{"heartbeat", "a Node, only the times of its conditions change, 26 KB", heartbeatReview},
		{"node status", "a Node with 50 images, each condition changes, 31 KB", reviewload.NodeStatus},
		{"pod status", "a pod of six containers, each condition and each container status changes, 30 KB", reviewload.PodStatus},
	}
}

// directSample is the cost of reviews that are sent without an API server.
type directSample struct {
	p50, p99, worst time.Duration
	cpu             time.Duration // of the program for one review
	reviews, shed   int
}

// heartbeatReview returns a kubelet's heartbeat as an API server sends it, about 26 KB.
func heartbeatReview(node string) ([]byte, error) {
	old := load.Node(node)
	old.TypeMeta = metav1.TypeMeta{Kind: "Node", APIVersion: "v1"}
	old.UID, old.ResourceVersion = "0b6c8f0e-6e0d-4c3e-9f5e-1d3a5a0f7f11", "123456"
	updated := old.DeepCopy()
	for i := range updated.Status.Conditions {
		old.Status.Conditions[i].LastHeartbeatTime = metav1.Unix(1_800_000_000, 0)
		updated.Status.Conditions[i].LastHeartbeatTime = metav1.Unix(1_800_000_300, 0)
	}
	return reviewOf(node, old, updated)
}

func reviewOf(node string, old, updated *corev1.Node) ([]byte, error) {
	raw := func(n *corev1.Node) (runtime.RawExtension, error) {
		data, err := json.Marshal(n)
		return runtime.RawExtension{Raw: data}, err
	}
	before, err := raw(old)
	if err != nil {
		return nil, err
	}
	after, err := raw(updated)
	if err != nil {
		return nil, err
	}
	dryRun := false
	kind := metav1.GroupVersionKind{Version: "v1", Kind: "Node"}
	resource := metav1.GroupVersionResource{Version: "v1", Resource: "nodes"}
	return json.Marshal(&admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{Kind: "AdmissionReview", APIVersion: "admission.k8s.io/v1"},
		Request: &admissionv1.AdmissionRequest{
			UID: "705ab4f5-6393-11e8-b7cc-42010a800002", Kind: kind, Resource: resource, SubResource: "status",
			RequestKind: &kind, RequestResource: &resource, RequestSubResource: "status",
			Name: node, Operation: admissionv1.Update,
			UserInfo: authenticationv1.UserInfo{
				Username: "system:node:" + node, Groups: []string{"system:nodes", "system:authenticated"},
			},
			Object: after, OldObject: before, DryRun: &dryRun,
			Options: runtime.RawExtension{Raw: []byte(`{"kind":"PatchOptions","apiVersion":"meta.k8s.io/v1"}`)},
		},
	})
}

// sendAll sends a review repeatedly from a number of clients, each as soon as its previous one was answered. It returns the
// durations of the answered reviews, sorted, and the number of reviews that the webhook refused because it was too busy.
func sendAll(ctx context.Context, client *http.Client, url string, body []byte, clients, reviews int) ([]time.Duration, int, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var begun, shed atomic.Int64
	var mu sync.Mutex
	var took []time.Duration
	var group sync.WaitGroup
	for range clients {
		group.Go(func() {
			var mine []time.Duration
			for begun.Add(1) <= int64(reviews) && ctx.Err() == nil {
				start := time.Now()
				switch answered, err := send(ctx, client, url, body); {
				case err != nil:
					cancel(err)
				case !answered:
					shed.Add(1)
				default:
					mine = append(mine, time.Since(start))
				}
			}
			mu.Lock()
			defer mu.Unlock()
			took = append(took, mine...)
		})
	}
	group.Wait()
	slices.Sort(took)
	return took, int(shed.Load()), context.Cause(ctx)
}

// send sends a review, which must be allowed. It returns false if the webhook is too busy.
func send(ctx context.Context, client *http.Client, url string, body []byte) (answered bool, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return false, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode == http.StatusTooManyRequests {
		return false, err
	}
	if response.StatusCode != http.StatusOK || !bytes.Contains(answer, []byte(`"allowed":true`)) {
		return false, fmt.Errorf("%s: %s %s", url, response.Status, answer)
	}
	return true, nil
}

// directClient returns a client for webhooks like that of an API server.
func (b *bench) directClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: b.ControlPlane.CA.Pool()},
		MaxIdleConnsPerHost: overload * b.most(),
	}}
}

// measureDirect sends reviews to each webhook as an API server does, over HTTP/1.1 and persistent connections. Without an API
// server, it measures the cost of the webhook itself more precisely.
func (b *bench) measureDirect(ctx context.Context) ([]map[cell]directSample, error) {
	client := b.directClient()
	defer client.CloseIdleConnections()
	var rounds []map[cell]directSample
	for round := range b.rounds {
		samples := map[cell]directSample{}
		for _, i := range rand.New(rand.NewPCG(2, uint64(round))).Perm(len(b.variants)) {
			v := b.variants[i]
			if v.url == "" || !b.chosen(v) {
				continue
			}
			fmt.Fprintf(os.Stderr, "round %d of %d: %s, without an API server\n", round+1, b.rounds, v.name)
			if err := b.measureVariantDirect(ctx, client, v, samples); err != nil {
				return nil, err
			}
		}
		rounds = append(rounds, samples)
	}
	return rounds, nil
}

func (b *bench) measureVariantDirect(ctx context.Context, client *http.Client, v *variant, samples map[cell]directSample) error {
	for _, what := range directReviews() {
		body, err := what.make(b.kubelets[0].node)
		if err != nil {
			return err
		}
		for _, clients := range append(slices.Clone(b.clients), overload*b.most()) {
			s, err := b.sampleDirect(ctx, client, v, body, clients)
			if err != nil {
				return err
			}
			samples[cell{v.name, what.name, clients}] = s
		}
	}
	return nil
}

func (b *bench) sampleDirect(
	ctx context.Context, client *http.Client, v *variant, body []byte, clients int,
) (s directSample, err error) {
	if _, _, err := sendAll(ctx, client, v.url, body, clients, warmUp); err != nil {
		return s, err
	}
	before, err := load.CPUTime(v.process.PID())
	if err != nil {
		return s, err
	}
	took, shed, err := sendAll(ctx, client, v.url, body, clients, b.reviews)
	if err != nil {
		return s, err
	}
	after, err := load.CPUTime(v.process.PID())
	if err != nil {
		return s, err
	}
	n := len(took)
	return directSample{
		p50: took[n/2], p99: took[n*99/100], worst: took[n-1], cpu: (after - before) / time.Duration(n), reviews: n, shed: shed,
	}, nil
}
