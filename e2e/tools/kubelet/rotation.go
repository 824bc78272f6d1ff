// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	clientset "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/connrotation"
	"k8s.io/kubernetes/pkg/kubelet/certificate"
)

// rotateCertificates starts the kubelet's own manager of client certificates, and makes a connection use its current certificate. As
// cmd/kubelet does with the kubeconfig of kubeadm, it requests the first certificate with that of the connection.
func rotateCertificates(config *rest.Config, dir, node string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	var rotating atomic.Pointer[rest.Config] // nil until the connection is complete
	manager, err := certificate.NewKubeletClientCertificateManager(
		dir, types.NodeName(node), config.CertData, config.KeyData, "", "",
		func(*tls.Certificate) (clientset.Interface, error) { return clientset.NewForConfig(rotating.Load()) })
	if err != nil {
		return err
	}
	security, err := rest.TLSConfigFor(rest.AnonymousClientConfig(config))
	if err != nil {
		return err
	}
	security.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if current := manager.Current(); current != nil {
			return current, nil
		}
		return nil, errors.New("there is no client certificate")
	}
	dialer := connrotation.NewDialer((&net.Dialer{Timeout: 30 * time.Second}).DialContext)
	config.Transport = &http.Transport{
		TLSClientConfig: security, DialContext: dialer.DialContext, TLSHandshakeTimeout: 10 * time.Second, ForceAttemptHTTP2: true,
		MaxIdleConnsPerHost: 25,
	}
	config.TLSClientConfig = rest.TLSClientConfig{}
	rotating.Store(rest.CopyConfig(config))
	manager.Start()
	used := manager.Current()
	go wait.UntilWithContext(context.Background(), func(context.Context) {
		if current := manager.Current(); current != used {
			used = current
			dialer.CloseAll() // what is connected still has the old certificate
		}
	}, time.Second)
	return nil
}
