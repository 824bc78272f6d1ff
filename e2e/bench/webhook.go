// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// The webhooks for comparison.
const (
	noop  = "noop"  // reads the body and echoes the UID: the lower limit of a webhook
	typed = "typed" // controller-runtime, both objects decoded into their types
)

// serve is the program of a webhook for comparison. Its arguments are an address and the directory of its certificate. /calls
// returns how often it was called.
func serve(ctx context.Context, kind string, args []string) error {
	if len(args) != 2 {
		return errors.New("-serve needs an address and a directory")
	}
	var handler http.Handler
	switch kind {
	case noop:
		handler = http.HandlerFunc(echo)
	case typed:
		scheme := runtime.NewScheme()
		if err := corev1.AddToScheme(scheme); err != nil {
			return err
		}
		handler = &webhook.Admission{Handler: &typedHandler{admission.NewDecoder(scheme)}}
	default:
		return fmt.Errorf("-serve: unknown webhook %q", kind)
	}
	var calls atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("/admit", func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		handler.ServeHTTP(w, r)
	})
	mux.HandleFunc("/calls", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strconv.FormatInt(calls.Load(), 10))
	})
	server := &http.Server{
		Addr: args[0], Handler: mux,
		// HTTP/1.1, as with a Service.
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"}},
	}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	err := server.ListenAndServeTLS(filepath.Join(args[1], "tls.crt"), filepath.Join(args[1], "tls.key"))
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// echo finds the UID, which is at the beginning, without decoding the rest.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	const key = `"uid":"`
	uid := ""
	for i := 0; i+len(key)+36 <= len(body); i++ {
		if string(body[i:i+len(key)]) == key {
			uid = string(body[i+len(key) : i+len(key)+36])
			break
		}
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":{"uid":%q,"allowed":true}}`, uid)
}

// typedHandler decodes both objects, as a handler of controller-runtime does, and compares the finalizers.
type typedHandler struct{ decoder admission.Decoder }

func (h *typedHandler) Handle(_ context.Context, request admission.Request) admission.Response {
	var finalizers [2][]string
	for i, raw := range []runtime.RawExtension{request.Object, request.OldObject} {
		switch request.Kind.Kind {
		case "Node":
			node := &corev1.Node{}
			if err := h.decoder.DecodeRaw(raw, node); err != nil {
				return admission.Errored(http.StatusBadRequest, err)
			}
			finalizers[i] = node.Finalizers
		case "Pod":
			pod := &corev1.Pod{}
			if err := h.decoder.DecodeRaw(raw, pod); err != nil {
				return admission.Errored(http.StatusBadRequest, err)
			}
			finalizers[i] = pod.Finalizers
		}
	}
	if len(finalizers[0]) != len(finalizers[1]) {
		return admission.Denied("must not change finalizers")
	}
	return admission.Allowed("")
}
