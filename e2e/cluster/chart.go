// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/e2e/binaries"
	"noderestriction.plus/e2e/project"
	"noderestriction.plus/e2e/suite"
)

// readyTimeout bounds work of the controllers and the nodes, for example a rollout.
const readyTimeout = 3 * time.Minute

// Helm runs Helm as the administrator and returns its output.
func (c *Cluster) Helm(ctx context.Context, args ...string) (string, error) {
	args = append(args, "--namespace="+Namespace, "--kubeconfig="+c.Kubectl.Kubeconfig)
	cmd := exec.CommandContext(ctx, c.helm, args...)
	home := filepath.Join(c.options.Dir, "helm")
	cmd.Env = append(os.Environ(), "HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("helm %s: %w\n%s", args[0], err, out)
	}
	return string(out), nil
}

// Install installs or upgrades the chart with these values, each in the form of Helm's flag --set, in addition to those that this
// cluster needs, and with what kubectl nrp says of the policies' own sections. It does not wait for the pods.
func (c *Cluster) Install(ctx context.Context, tag string, values ...string) error {
	root, err := project.Root()
	if err != nil {
		return err
	}
	chart := filepath.Join(root, "charts", "node-restriction-plus")
	set := []string{
		"--set=image.tag=" + tag,
		"--set-json=nodeSelector=" + fmt.Sprintf(`{%q:%q}`, poolLabel, poolValue),
	}
	for _, value := range values {
		set = append(set, "--set="+value)
	}
	if slices.ContainsFunc(values, func(value string) bool { return strings.HasPrefix(value, "policies.adapt.") }) {
		conditions, err := c.conditions(ctx, chart, set)
		if err != nil {
			return err
		}
		set = append(set, "--values="+conditions)
	}
	_, err = c.Helm(ctx, append([]string{"upgrade", "--install", Release, chart, "--create-namespace"}, set...)...)
	return err
}

// conditions writes the value policies.conditions for the policies that the chart renders, and returns the path of the file.
func (c *Cluster) conditions(ctx context.Context, chart string, set []string) (string, error) {
	plugin, err := binaries.CommandLine(ctx, os.Stderr)
	if err != nil {
		return "", err
	}
	policies, err := c.Helm(ctx, append([]string{"template", Release, chart, "--show-only=templates/policies.yaml"}, set...)...)
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, plugin, "compile", "--to=values", "-")
	cmd.Stdin, cmd.Stderr = strings.NewReader(policies), os.Stderr
	values, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("kubectl nrp compile: %w", err)
	}
	path := filepath.Join(c.options.Dir, "conditions.yaml")
	return path, os.WriteFile(path, values, 0o600)
}

// Provide creates a Secret with a certificate of the cluster CA, in the namespace of the chart, and returns the values with which
// the chart uses it.
func (c *Cluster) Provide(ctx context.Context, secret string) ([]string, error) {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: Namespace}}
	if _, err := c.Admin.CoreV1().Namespaces().Get(ctx, Namespace, metav1.GetOptions{}); err != nil {
		if _, err := c.Admin.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{}); err != nil {
			return nil, err
		}
	}
	if err := c.Renew(ctx, secret); err != nil {
		return nil, err
	}
	return []string{
		"certificates.mode=provided", "certificates.provided.secretName=" + secret,
		"webhook.caBundle=" + base64.StdEncoding.EncodeToString(c.ControlPlane.CA.PEM()),
	}, nil
}

// Renew stores a new certificate in the Secret.
func (c *Cluster) Renew(ctx context.Context, name string) error {
	cert, err := c.ControlPlane.CA.Server(Name + "." + Namespace + ".svc")
	if err != nil {
		return err
	}
	secrets := c.Admin.CoreV1().Secrets(Namespace)
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Type: corev1.SecretTypeTLS,
		Data: map[string][]byte{corev1.TLSCertKey: cert.Cert, corev1.TLSPrivateKeyKey: cert.Key},
	}
	if _, err := secrets.Get(ctx, name, metav1.GetOptions{}); err == nil {
		_, err = secrets.Update(ctx, secret, metav1.UpdateOptions{})
		return err
	}
	_, err = secrets.Create(ctx, secret, metav1.CreateOptions{})
	return err
}

// AwaitRollout waits until every replica is current and ready, and no other replica is left.
func (c *Cluster) AwaitRollout(ctx context.Context) error {
	return suite.Await(ctx, readyTimeout, func() error {
		d, err := c.Admin.AppsV1().Deployments(Namespace).Get(ctx, Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		pods, err := c.Admin.CoreV1().Pods(Namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		want, s := *d.Spec.Replicas, d.Status
		if s.ObservedGeneration == d.Generation && s.UpdatedReplicas == want && s.AvailableReplicas == want &&
			s.Replicas == want && len(pods.Items) == int(want) {
			return nil
		}
		return fmt.Errorf("of %d replicas %d are current, %d available: %s; problems: %q", want, s.UpdatedReplicas,
			s.AvailableReplicas, describe(pods.Items), c.problems())
	})
}

// AwaitDaemonSet waits until every pod of the DaemonSet of the profile controlPlane is current and ready, and no other pod is left.
func (c *Cluster) AwaitDaemonSet(ctx context.Context) error {
	return suite.Await(ctx, readyTimeout, func() error {
		d, err := c.Admin.AppsV1().DaemonSets(Namespace).Get(ctx, Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		pods, err := c.Admin.CoreV1().Pods(Namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		want, s := d.Status.DesiredNumberScheduled, d.Status
		if s.ObservedGeneration == d.Generation && want > 0 && s.UpdatedNumberScheduled == want && s.NumberAvailable == want &&
			len(pods.Items) == int(want) {
			return nil
		}
		return fmt.Errorf("of %d pods %d are current, %d available: %s; problems: %q", want, s.UpdatedNumberScheduled,
			s.NumberAvailable, describe(pods.Items), c.problems())
	})
}

// describe describes pods for errors.
func describe(pods []corev1.Pod) string {
	var all []string
	for i := range pods {
		text := pods[i].Name + " " + string(pods[i].Status.Phase)
		for _, s := range pods[i].Status.ContainerStatuses {
			if w := s.State.Waiting; w != nil {
				text += " " + w.Reason + " " + w.Message
			}
		}
		for _, cond := range pods[i].Status.Conditions {
			if cond.Status != corev1.ConditionTrue {
				text += fmt.Sprintf(" %s=%s %s", cond.Type, cond.Status, cond.Message)
			}
		}
		all = append(all, text)
	}
	return strings.Join(all, "; ")
}

// problems returns the reasons why replicas do not run.
func (c *Cluster) problems() []string {
	var all []string
	for _, r := range c.Ever() {
		r.mu.Lock()
		if r.problem != "" && !r.ended {
			all = append(all, r.Pod+": "+r.problem)
		}
		r.mu.Unlock()
	}
	return all
}
