// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package binaries finds the programs that e2e runs, and builds missing ones.
//
// It looks for a program in this order: its own environment variable, such as NRP_KUBE_APISERVER; the directory that
// KUBEBUILDER_ASSETS names; the user's cache directory, where the first build leaves the program for all clones. The go.mod that
// lists the program as a tool has its version. For programs of Kubernetes, a variable such as NRP_KUBE_APISERVER_VERSION names another
// release and comes first.
package binaries

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"noderestriction.plus/e2e/project"
)

// Program is a program that is built from a Go module.
type Program struct {
	Name     string // of the file
	Variable string // environment variable with the path of one to use instead
	// VersionVariable is the environment variable that names another release than that of the go.mod, such as v1.31.14. Empty: the
	// program has only one version.
	VersionVariable string

	module string // its version is the program's version
	pkg    string // import path of the main package
	goMod  string // directory, from the root of the repository, of the go.mod that has it as a tool
	source string // directory of a main package of our own, from the root of the repository
	// ldflags returns further linker flags for a version; may be nil.
	ldflags func(version string) []string
	tags    string // build tags
	static  bool   // without cgo
}

// Etcd is the etcd server.
func Etcd() Program {
	return Program{
		Name: "etcd", Variable: "NRP_ETCD",
		module: "go.etcd.io/etcd/server/v3", pkg: "go.etcd.io/etcd/server/v3", goMod: "e2e/tools",
	}
}

// KubeAPIServer is the API server of Kubernetes.
func KubeAPIServer() Program { return kubernetes("kube-apiserver", "NRP_KUBE_APISERVER") }

// KubeControllerManager is the controllers of Kubernetes.
func KubeControllerManager() Program {
	return kubernetes("kube-controller-manager", "NRP_KUBE_CONTROLLER_MANAGER")
}

// KubeScheduler is the scheduler of Kubernetes.
func KubeScheduler() Program { return kubernetes("kube-scheduler", "NRP_KUBE_SCHEDULER") }

// Kubectl is the command line client of Kubernetes.
func Kubectl() Program { return kubernetes("kubectl", "NRP_KUBECTL") }

// Kubelet is a real kubelet whose containers are imaginary: that of kubemark in a program of our own.
func Kubelet() Program {
	p := kubernetes("kubelet", "NRP_KUBELET")
	p.pkg, p.source = "noderestriction.plus/e2e/tools/kubelet", "e2e/tools/kubelet"
	return p
}

// KubeletPlugins is a program of our own with small plugins that register with a kubelet: a CSI driver, a device plugin and a DRA driver.
func KubeletPlugins() Program {
	const source = "e2e/tools/plugins"
	return Program{
		Name: "kubelet-plugins", Variable: "NRP_KUBELET_PLUGINS",
		module: "k8s.io/kubernetes", pkg: "noderestriction.plus/" + source, goMod: "e2e/tools", source: source,
	}
}

// CertManager is cert-manager: its controller, cainjector and webhook in one program of our own. [All] does not include it, because
// clusters do not need it.
func CertManager() Program {
	return Program{
		Name: "cert-manager", Variable: "NRP_CERT_MANAGER",
		module: "github.com/cert-manager/cert-manager", pkg: ".", goMod: "e2e/tools/cert-manager",
		source: "e2e/tools/cert-manager",
	}
}

// Gatekeeper is another admission webhook, which only bench measures. [All] does not include it.
func Gatekeeper() Program {
	const module = "github.com/open-policy-agent/gatekeeper/v3"
	return Program{
		Name: "gatekeeper", Variable: "NRP_GATEKEEPER", module: module, pkg: module, goMod: "e2e/tools/gatekeeper",
	}
}

// StockKubelet returns the kubelet as it is released, which runs containers.
func StockKubelet() Program { return kubernetes("kubelet", "NRP_STOCK_KUBELET") }

// Containerd returns the programs of containerd: the daemon, its shim, and its command line. They lack file systems and tracing, which
// containers do not need here.
func Containerd() []Program {
	const module = "github.com/containerd/containerd/v2"
	var all []Program
	for _, name := range []string{"containerd", "containerd-shim-runc-v2", "ctr"} {
		all = append(all, Program{
			Name: name, Variable: "NRP_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_")),
			module: module, pkg: module + "/cmd/" + name, goMod: "e2e/tools/containerd",
			ldflags: func(version string) []string { return []string{"-X " + module + "/version.Version=" + version} },
			tags:    "no_btrfs,no_devmapper,no_zfs,no_tracing,no_systemd", static: true,
		})
	}
	return all
}

// NetworkPlugins returns the plugins that containerd needs to connect pods to a bridge.
func NetworkPlugins() []Program {
	const module = "github.com/containernetworking/plugins"
	plugin := func(kind, name, variable string) Program {
		return Program{
			Name: name, Variable: variable, module: module, pkg: module + "/plugins/" + kind + "/" + name, goMod: "e2e/tools/cni",
			static: true,
		}
	}
	return []Program{
		plugin("main", "bridge", "NRP_CNI_BRIDGE"), plugin("main", "loopback", "NRP_CNI_LOOPBACK"),
		plugin("ipam", "host-local", "NRP_CNI_HOST_LOCAL"),
	}
}

func kubernetes(name, variable string) Program {
	return Program{
		Name: name, Variable: variable, VersionVariable: variable + "_VERSION",
		module: "k8s.io/kubernetes", pkg: "k8s.io/kubernetes/cmd/" + name, goMod: "e2e/tools",
		ldflags: kubernetesVersion,
	}
}

// All returns the programs that a cluster needs.
func All() []Program {
	return []Program{Etcd(), KubeAPIServer(), KubeControllerManager(), KubeScheduler(), Kubectl(), Kubelet()}
}

// kubernetesVersion returns the flags that set the version of a program. Without them it would be v0.0.0-master, which its own
// clients do not understand.
func kubernetesVersion(version string) []string {
	major, minor, _ := strings.Cut(strings.TrimPrefix(version, "v"), ".")
	minor, _, _ = strings.Cut(minor, ".")
	const pkg = "k8s.io/component-base/version"
	return []string{
		"-X " + pkg + ".gitVersion=" + version,
		"-X " + pkg + ".gitMajor=" + major,
		"-X " + pkg + ".gitMinor=" + minor,
		"-X " + pkg + ".gitTreeState=archive",
	}
}

// fileName returns a name that differs by version, platform and, for programs of our own, source.
func (p Program) fileName(root, version string) (string, error) {
	name := strings.Join([]string{p.Name, version, runtime.GOOS, runtime.GOARCH}, "-")
	if p.source == "" {
		return name, nil
	}
	files, err := p.sources(root, version)
	if err != nil {
		return "", err
	}
	if p.source == p.goMod { // it has its own dependencies
		files = append(files, filepath.Join(root, p.source, "go.sum"))
	}
	sum := sha256.New()
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		sum.Write(source)
	}
	return fmt.Sprintf("%s-%.4x", name, sum.Sum(nil)), nil
}

// Version returns the version that [Path] returns the program in, if the environment does not name its path.
func (p Program) Version() (string, error) {
	root, err := project.Root()
	if err != nil {
		return "", err
	}
	return p.version(root)
}

// version returns the version of the program: the release that the environment names, or the version of its module in its go.mod.
func (p Program) version(root string) (string, error) {
	if release := p.release(); release != "" {
		return release, nil
	}
	return ModuleVersion(filepath.Join(root, p.goMod, "go.mod"), p.module)
}

// release returns the release that the environment names, or empty.
func (p Program) release() string {
	if p.VersionVariable == "" {
		return ""
	}
	return os.Getenv(p.VersionVariable)
}
