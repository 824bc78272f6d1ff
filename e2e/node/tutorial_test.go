// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package node_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"noderestriction.plus/e2e/node"
	"noderestriction.plus/e2e/product"
	"noderestriction.plus/e2e/project"
	"noderestriction.plus/e2e/sandbox"
	"noderestriction.plus/e2e/suite"
)

const (
	// tutorialImage is the image that the tutorial builds.
	tutorialImage = "docker.io/library/node-restriction-plus:tutorial"
	// inWorker begins the tutorial's commands with the credential of the worker's kubelet. kind runs nodes in Docker.
	inWorker = "docker exec nrp-worker kubectl --kubeconfig /etc/kubernetes/kubelet.conf "
)

// replacedCommands returns the beginnings of the tutorial's commands that the setup of this test stands for: kind and Docker, which make
// the nodes and the image, and the build of programs, which are there already.
func replacedCommands() []string {
	return []string{"kind create cluster ", "docker build ", "kind load docker-image ", "make build", "export PATH=", "kind delete cluster "}
}

// block is a block of commands of a page, and what it says that they print.
type block struct {
	commands []string
	output   string
}

// TestTutorial runs the commands of docs/tutorial.md in order on a control-plane node and a worker.
func TestTutorial(t *testing.T) {
	s := newSetup(t, "nrp-control-plane", "nrp-worker")
	for _, args := range [][]string{ // as kubeadm does
		{"label", "node", s.nodes[0].Name, "node-role.kubernetes.io/control-plane="},
		{"taint", "node", s.nodes[0].Name, "node-role.kubernetes.io/control-plane:NoSchedule"},
	} {
		_, err := s.Kubectl.Run(t.Context(), nil, args...)
		suite.Check(t, err)
	}
	for _, n := range s.nodes {
		s.tag(t, n)
	}
	shell := s.newShell(t)
	replaced := map[string]bool{}
	installed := false
	for _, b := range tutorial(t) {
		for _, command := range b.commands {
			if prefix := beginning(command, replacedCommands()); prefix != "" {
				replaced[prefix] = true
				t.Logf("not run: %s", command)
				continue
			}
			args, byKubelet := strings.CutPrefix(command, inWorker)
			if byKubelet {
				command = "kubectl --kubeconfig " + s.nodes[1].Kubeconfig() + " " + args
			}
			out, err := shell.run(t, command)
			t.Logf("$ %s\n%s", command, out)
			denied := strings.Contains(out, `admission webhook "gate.noderestriction.plus" denied the request`)
			if byKubelet && installed != denied {
				t.Errorf("%s: denied is %t, but the product is installed is %t: %v", command, denied, installed, err)
			} else if err != nil && !denied {
				t.Errorf("%s: %v\n%s", command, err, out)
			}
			if want := oneLine(b.output); !strings.Contains(oneLine(out), want) {
				t.Errorf("%s prints\n%s\nbut the page says\n%s", command, out, b.output)
			}
			installed = installed || strings.HasPrefix(command, "helm install ")
		}
	}
	if len(replaced) != len(replacedCommands()) {
		t.Errorf("the page has only these commands that are not run: %v", replaced)
	}
}

// tag gives the product's image the name that the tutorial gives it.
func (s *setup) tag(t *testing.T, n *node.Node) {
	t.Helper()
	list, err := n.Ctr(t.Context(), "images", "list", "--quiet")
	suite.Check(t, err)
	for name := range strings.FieldsSeq(list) {
		if strings.Contains(name, product.Name) {
			_, err := n.Ctr(t.Context(), "images", "tag", name, tutorialImage)
			suite.Check(t, err)
			return
		}
	}
	t.Fatalf("node %s has only the images\n%s", n.Name, list)
}

// tutorial returns the blocks of docs/tutorial.md.
func tutorial(t *testing.T) []block {
	t.Helper()
	page, err := project.ReadFile("docs", "tutorial.md")
	suite.Check(t, err)
	var all []block
	for _, fence := range regexp.MustCompile("(?ms)^```(sh)?\n(.*?)^```$").FindAllStringSubmatch(string(page), -1) {
		if fence[1] == "" {
			all[len(all)-1].output = fence[2]
			continue
		}
		lines := strings.ReplaceAll(fence[2], "\\\n", "")
		all = append(all, block{commands: strings.Split(strings.TrimSpace(lines), "\n")})
	}
	if len(all) < 8 {
		t.Fatalf("the page has only %d blocks of commands", len(all))
	}
	return all
}

// beginning returns the prefix with which a command begins, or empty.
func beginning(command string, prefixes []string) string {
	for _, prefix := range prefixes {
		if strings.HasPrefix(command, prefix) {
			return prefix
		}
	}
	return ""
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// shell runs commands as a reader of the tutorial does, in a copy of the clone's root.
type shell struct {
	dir string
	env []string
}

func (s *setup) newShell(t *testing.T) *shell {
	t.Helper()
	root, err := project.Root()
	suite.Check(t, err)
	dir := filepath.Join(sandbox.Dir(), "tutorial")
	bin := filepath.Join(dir, "bin")
	suite.Check(t, os.MkdirAll(bin, 0o755))
	for name, target := range map[string]string{
		"charts": filepath.Join(root, "charts"), "config": filepath.Join(root, "config"),
		"bin/helm": s.helmPath, "bin/kubectl": s.Kubectl.Path, "bin/kubectl-nrp": os.Getenv(pluginVariable),
	} {
		suite.Check(t, os.Symlink(target, filepath.Join(dir, name)))
	}
	return &shell{dir: dir, env: append(os.Environ(),
		"PATH="+bin+":"+os.Getenv("PATH"), "KUBECONFIG="+s.Kubectl.Kubeconfig, "HOME="+dir, "KUBECACHEDIR="+filepath.Join(dir, "cache"))}
}

// run runs a command, and returns what it prints to either output.
func (s *shell) run(t *testing.T, command string) (string, error) {
	cmd := exec.CommandContext(suite.Within(t, patience), "sh", "-ec", command)
	cmd.Dir, cmd.Env = s.dir, s.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}
