// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package binaries finds the programs that e2e runs, and builds those that it does not find.
//
// A program is taken from, in this order: the environment variable of its own, such as NRP_KUBE_APISERVER; the folder
// that KUBEBUILDER_ASSETS names, if it is there; the user's cache directory, where the first build leaves it for every
// later run and every other clone. What is built, and at which version, is said by the go.mod that lists the program as
// a tool.
package binaries

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// Program is a program that is built from a Go module.
type Program struct {
	Name     string // of the file
	Variable string // environment variable with the path of one to use instead
	module   string // its version is the program's version
	pkg      string // import path of the main package
	goMod    string // folder, from the root of the repository, of the go.mod that has it as a tool
	source   string // folder of a main package of our own, from the root of the repository
	// ldflags are the linker flags for a version; nil: none but those that leave symbols out.
	ldflags func(version string) []string
}

// Etcd is the store of the control plane.
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

// Kubelet is a real kubelet whose containers are imaginary: that of kubemark, in a program of our own.
func Kubelet() Program {
	p := kubernetes("kubelet", "NRP_KUBELET")
	p.pkg, p.source = "noderestriction.plus/e2e/tools/kubelet", "e2e/tools/kubelet"
	return p
}

// CertManager is cert-manager: its controller, its cainjector and its webhook, in one program of our own. It is not among
// [All]: a cluster does not need it.
func CertManager() Program {
	return Program{
		Name: "cert-manager", Variable: "NRP_CERT_MANAGER",
		module: "github.com/cert-manager/cert-manager", pkg: ".", goMod: "e2e/tools/cert-manager",
		source: "e2e/tools/cert-manager",
	}
}

// Gatekeeper is the other admission webhook that bench measures. It is not among [All]: nothing else needs it.
func Gatekeeper() Program {
	const module = "github.com/open-policy-agent/gatekeeper/v3"
	return Program{
		Name: "gatekeeper", Variable: "NRP_GATEKEEPER", module: module, pkg: module, goMod: "e2e/tools/gatekeeper",
	}
}

func kubernetes(name, variable string) Program {
	return Program{
		Name: name, Variable: variable,
		module: "k8s.io/kubernetes", pkg: "k8s.io/kubernetes/cmd/" + name, goMod: "e2e/tools",
		ldflags: kubernetesVersion,
	}
}

// All are the programs that a cluster needs.
func All() []Program {
	return []Program{Etcd(), KubeAPIServer(), KubeControllerManager(), KubeScheduler(), Kubectl(), Kubelet()}
}

// kubernetesVersion stamps the version into a program: built from the module alone it would call itself v0.0.0-master,
// which its own clients do not understand.
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

// fileName tells programs apart that differ: by version, platform and, where it is our own, source.
func (p Program) fileName(root, version string) (string, error) {
	name := strings.Join([]string{p.Name, version, runtime.GOOS, runtime.GOARCH}, "-")
	if p.source == "" {
		return name, nil
	}
	files, err := filepath.Glob(filepath.Join(root, p.source, "*.go"))
	if err != nil {
		return "", err
	}
	if p.source == p.goMod { // its dependencies are its own, too
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

// version returns the version of the program's module in its go.mod.
func (p Program) version(root string) (string, error) {
	return ModuleVersion(filepath.Join(root, p.goMod, "go.mod"), p.module)
}
