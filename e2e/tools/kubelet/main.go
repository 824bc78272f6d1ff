// Command kubelet is a real kubelet whose containers are imaginary: the kubelet of kubemark, with what kubemark itself
// cannot be told to leave out. Stock kubemark opens the kubelet's API on all interfaces, without authentication, and
// serves the machine's /var/log there; this one listens nowhere.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	clientset "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/component-base/cli"
	cliflag "k8s.io/component-base/cli/flag"
	remote "k8s.io/cri-client/pkg"
	fakeremote "k8s.io/cri-client/pkg/fake"
	cadvisortest "k8s.io/kubernetes/pkg/kubelet/cadvisor/testing"
	"k8s.io/kubernetes/pkg/kubelet/cm"
	"k8s.io/kubernetes/pkg/kubemark"
	utilflag "k8s.io/kubernetes/pkg/util/flag"
)

// options are the flags. The kubelet's root folder is made in the temporary folder.
type options struct {
	kubeconfig string
	staticPods string
	kubelet    kubemark.HollowKubeletOptions
}

func main() {
	o := options{kubelet: kubemark.HollowKubeletOptions{MaxPods: 110, NodeLabels: map[string]string{}}}
	cmd := &cobra.Command{
		Use:  "kubelet",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	labels := cliflag.ConfigurationMap(o.kubelet.NodeLabels)
	cmd.Flags().StringVar(&o.kubeconfig, "kubeconfig", "", "path of the kubeconfig")
	cmd.Flags().StringVar(&o.kubelet.NodeName, "name", "", "name of the Node")
	cmd.Flags().StringVar(&o.staticPods, "static-pods", "", "folder with manifests of static pods")
	cmd.Flags().Var(&labels, "node-labels", "labels to register with, such as a=b,c=d")
	cmd.Flags().Var(utilflag.RegisterWithTaintsVar{Value: &o.kubelet.RegisterWithTaints}, "register-with-taints",
		"taints to register with, such as key=value:NoSchedule")
	os.Exit(cli.Run(cmd))
}

// run runs the kubelet, put together as cmd/kubemark/app does, for ever.
func (o *options) run(ctx context.Context) error {
	config, err := clientcmd.BuildConfigFromFlags("", o.kubeconfig)
	if err != nil {
		return err
	}
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.UserAgent = "hollow-kubelet"
	flags, kubelet := kubemark.GetHollowKubeletConfig(&o.kubelet)
	kubelet.EnableServer = false
	kubelet.StaticPodPath = o.staticPods
	kubelet.FileCheckFrequency.Duration = time.Second

	client, err := clientset.NewForConfig(config)
	if err != nil {
		return err
	}
	heartbeat := *config
	heartbeat.Timeout = kubelet.NodeStatusUpdateFrequency.Duration
	heartbeat.QPS = -1
	heartbeatClient, err := clientset.NewForConfig(&heartbeat)
	if err != nil {
		return err
	}
	endpoint := "unix://" + filepath.Join(flags.RootDirectory, "cri.sock")
	containers := fakeremote.NewFakeRemoteRuntime()
	if err := containers.Start(endpoint); err != nil {
		return fmt.Errorf("start the container runtime: %w", err)
	}
	defer containers.Stop()
	runtime, err := remote.NewRemoteRuntimeServiceBuilder().
		WithEndpoint(endpoint).
		WithConnectionTimeout(15 * time.Second).
		Build(ctx)
	if err != nil {
		return fmt.Errorf("connect to the container runtime: %w", err)
	}
	kubemark.NewHollowKubelet(flags, kubelet, client, heartbeatClient,
		&cadvisortest.Fake{NodeName: o.kubelet.NodeName}, containers.ImageService, runtime,
		cm.NewStubContainerManager(),
	).Run(ctx)
	return nil
}
