// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Command kubelet is a real kubelet whose containers are imaginary: the kubelet of kubemark without its listener. Stock kubemark
// opens the kubelet's API on all interfaces, without authentication, and serves the machine's /var/log there; this one does not
// listen.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	clientset "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/component-base/cli"
	cliflag "k8s.io/component-base/cli/flag"
	kubeletoptions "k8s.io/kubernetes/cmd/kubelet/app/options"
	kubeletconfig "k8s.io/kubernetes/pkg/kubelet/apis/config"
	"k8s.io/kubernetes/pkg/kubemark"
	utilflag "k8s.io/kubernetes/pkg/util/flag"
)

// shutdownGracePeriod is the time that a shutdown of the machine gives to pods: half of it to ordinary pods, and half to critical
// ones.
const shutdownGracePeriod = 4 * time.Second

// options are the flags.
type options struct {
	kubeconfig      string
	certDir         string
	rootDir         string
	staticPods      string
	staticPodURL    string
	statusFrequency time.Duration
	reportFrequency time.Duration
	kubelet         kubemark.HollowKubeletOptions
}

func main() {
	o := options{kubelet: kubemark.HollowKubeletOptions{MaxPods: 110, NodeLabels: map[string]string{}}}
	cmd := &cobra.Command{
		Use:  "kubelet",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	labels := cliflag.ConfigurationMap(o.kubelet.NodeLabels)
	flags := cmd.Flags()
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "path of the kubeconfig")
	flags.StringVar(&o.certDir, "cert-dir", "", "directory of client certificates, which are then requested and rotated")
	flags.StringVar(&o.kubelet.NodeName, "name", "", "name of the Node")
	flags.StringVar(&o.rootDir, "root-dir", "", "directory of the kubelet's data; created if necessary")
	flags.StringVar(&o.staticPods, "static-pods", "", "directory with manifests of static pods")
	flags.StringVar(&o.staticPodURL, "static-pod-url", "", "URL of further manifests of static pods")
	flags.DurationVar(&o.statusFrequency, "node-status-update-frequency", 10*time.Second,
		"how often the kubelet checks whether its Node's status has changed")
	flags.DurationVar(&o.reportFrequency, "node-status-report-frequency", 5*time.Minute,
		"how often the kubelet writes a status that has not changed")
	flags.Var(&labels, "node-labels", "labels to register with, such as a=b,c=d")
	flags.Var(utilflag.RegisterWithTaintsVar{Value: &o.kubelet.RegisterWithTaints}, "register-with-taints",
		"taints to register with, such as key=value:NoSchedule")
	os.Exit(cli.Run(cmd))
}

// run runs the kubelet, assembled as in cmd/kubemark/app, until the process ends.
func (o *options) run(ctx context.Context) error {
	flags, config, err := o.configure()
	if err != nil {
		return err
	}
	client, heartbeatClient, err := o.clients(config)
	if err != nil {
		return err
	}
	machine := newMachine(o.kubelet.NodeName, o.rootDir)
	endpoint := "unix://" + filepath.Join(o.rootDir, "cri.sock")
	containers, err := startContainers(ctx, endpoint)
	if err != nil {
		return fmt.Errorf("start the container runtime: %w", err)
	}
	defer containers.Stop()
	if err := startLogind(ctx, filepath.Join(o.rootDir, "bus.sock")); err != nil {
		return fmt.Errorf("start the system bus: %w", err)
	}
	runtime, err := connect(ctx, endpoint)
	if err != nil {
		return fmt.Errorf("connect to the container runtime: %w", err)
	}
	kubemark.NewHollowKubelet(flags, config, client, heartbeatClient, machine, containers.ImageService, runtime,
		newContainerManager()).Run(ctx)
	return nil
}

// configure returns kubemark's configuration of a kubelet with the changes of the flags.
func (o *options) configure() (*kubeletoptions.KubeletFlags, *kubeletconfig.KubeletConfiguration, error) {
	flags, config := kubemark.GetHollowKubeletConfig(&o.kubelet)
	// Kubemark has created a directory in /tmp, which it never removes.
	logs := filepath.Join(o.rootDir, "pod-logs")
	if err := errors.Join(os.RemoveAll(flags.RootDirectory), os.MkdirAll(logs, 0o755)); err != nil {
		return nil, nil, err
	}
	flags.RootDirectory, config.PodLogsDir = o.rootDir, logs
	config.EnableServer = false
	config.StaticPodPath, config.StaticPodURL = o.staticPods, o.staticPodURL
	config.FileCheckFrequency.Duration, config.HTTPCheckFrequency.Duration = time.Second, time.Second
	config.NodeStatusUpdateFrequency.Duration = o.statusFrequency
	config.NodeStatusReportFrequency.Duration = o.reportFrequency
	config.NodeLeaseDurationSeconds = 10 // it is renewed four times in that time
	config.EvictionHard = map[string]string{"memory.available": "100Mi"}
	config.EvictionPressureTransitionPeriod.Duration = time.Second
	config.ShutdownGracePeriod.Duration = shutdownGracePeriod
	config.ShutdownGracePeriodCriticalPods.Duration = shutdownGracePeriod / 2
	return flags, config, nil
}

func (o *options) clients(k *kubeletconfig.KubeletConfiguration) (client, heartbeat *clientset.Clientset, err error) {
	config, err := clientcmd.BuildConfigFromFlags("", o.kubeconfig)
	if err != nil {
		return nil, nil, err
	}
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.UserAgent = "hollow-kubelet"
	if o.certDir != "" {
		if err := rotateCertificates(config, o.certDir, o.kubelet.NodeName); err != nil {
			return nil, nil, fmt.Errorf("rotate certificates: %w", err)
		}
	}
	if client, err = clientset.NewForConfig(config); err != nil {
		return nil, nil, err
	}
	quick := rest.CopyConfig(config)
	quick.Timeout = k.NodeStatusUpdateFrequency.Duration
	quick.QPS = -1
	heartbeat, err = clientset.NewForConfig(quick)
	return client, heartbeat, err
}
