// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"noderestriction.plus/e2e/demo/stage"
	"noderestriction.plus/e2e/kubelet"
)

const (
	staticPod = "proxy"
	newNode   = "worker-4"
)

// nodes are the nodes while no policy is in force.
func nodes() []string { return []string{stage.Node, "worker-2", "worker-3"} }

// live starts kubelets with static pods, and an agent that annotates their Nodes.
func (d *demo) live(ctx context.Context) error {
	for _, node := range nodes() {
		if err := d.addNode(ctx, node); err != nil {
			return err
		}
	}
	return d.agent(ctx, 10, nodes())
}

// addNode starts a kubelet with a static pod.
func (d *demo) addNode(ctx context.Context, node string) error {
	k, err := d.AddKubelet(ctx, kubelet.Options{Node: node, Labels: []string{"example.com/rack=r1"}, Heartbeat: time.Second})
	if err != nil {
		return err
	}
	if err := k.AddStaticPod(staticPod, kubelet.StaticPod(staticPod)); err != nil {
		return err
	}
	return d.await(ctx, func(ctx context.Context) error {
		_, err := d.Admin.CoreV1().Pods(metav1.NamespaceSystem).Get(ctx, staticPod+"-"+node, metav1.GetOptions{})
		return err
	})
}

// agent has an agent write its annotations with the credentials of kubelets. Each load is another value.
func (d *demo) agent(ctx context.Context, load int, nodes []string) error {
	for i, node := range nodes {
		config, err := d.ControlPlane.Kubelet(node)
		if err != nil {
			return err
		}
		config.UserAgent = "example-agent/1.2"
		client, err := kubernetes.NewForConfig(config)
		if err != nil {
			return err
		}
		patch := fmt.Appendf(nil, `{"metadata":{"annotations":{"pressure.example.com/cpu":"%d","pressure.example.com/memory":"%d",`+
			`"pressure.example.com/disk":"0"}}}`, load, load+i)
		if _, err := client.CoreV1().Nodes().Patch(ctx, node, types.MergePatchType, patch, metav1.PatchOptions{}, "status"); err != nil {
			return err
		}
	}
	d.Screen.Line("example-agent has annotated %d nodes, with the credentials of their kubelets", len(nodes))
	return nil
}

// exercise makes the writes that a policy must have evaluated before it is promoted: restarts, a new node, and a mirror pod that goes.
func (d *demo) exercise(ctx context.Context) error {
	d.Screen.Title("Restarting the kubelets, adding a node and removing a static pod, while the policy records")
	if err := d.RestartKubelets(ctx); err != nil {
		return err
	}
	if err := d.addNode(ctx, newNode); err != nil {
		return err
	}
	if err := d.agent(ctx, 20, append(nodes(), newNode)); err != nil {
		return err
	}
	if err := d.Kubelets[len(d.Kubelets)-1].RemoveStaticPod(staticPod); err != nil {
		return err
	}
	return d.await(ctx, func(ctx context.Context) error {
		_, err := d.Admin.CoreV1().Pods(metav1.NamespaceSystem).Get(ctx, staticPod+"-"+newNode, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			return nil
		case err == nil:
			return errors.New("the mirror pod of a removed static pod still exists")
		default:
			return err
		}
	})
}

// await waits for a condition, at most a minute.
func (d *demo) await(ctx context.Context, condition func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return d.ControlPlane.APIServer.Await(ctx, condition)
}

// saveAuditLog copies the audit log once it has this attempt, without a last line that is incomplete.
func (d *demo) saveAuditLog(ctx context.Context, last stage.Attempt) error {
	return d.await(ctx, func(context.Context) error {
		data, err := os.ReadFile(d.ControlPlane.APIServer.AuditLog)
		if err != nil {
			return err
		}
		data = data[:bytes.LastIndexByte(data, '\n')+1]
		if !bytes.Contains(data, fmt.Appendf(nil, "%q", last.Path)) {
			return fmt.Errorf("the audit log does not have the request to %s", last.Path)
		}
		return os.WriteFile(filepath.Join(d.dir, "audit.log"), data, 0o600)
	})
}
