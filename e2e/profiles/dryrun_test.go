// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package profiles_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/restmapper"

	"noderestriction.plus/e2e/binaries"
	"noderestriction.plus/e2e/controlplane"
	"noderestriction.plus/e2e/project"
	"noderestriction.plus/e2e/suite"
)

// Namespaces that warn about pods that their Pod Security Standard does not allow.
const (
	restricted = "restricted"
	privileged = "privileged" // needed for the network of the nodes
)

// TestAPIServerAcceptsWhatIsRendered sends everything that the chart renders to an API server, as a dry run in which unknown fields
// are errors. There must be neither an error nor a warning.
func TestAPIServerAcceptsWhatIsRendered(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	var mu sync.Mutex
	seen := map[string]bool{}
	t.Run("with", func(t *testing.T) {
		distributions, err := project.Distributions()
		suite.Check(t, err)
		for name, values := range renderings(s.ca, distributions) {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				out := helmTemplate(t, s.helm, values...)
				objects := s.objects(t, out)
				for _, object := range objects {
					s.tryOut(t, object)
				}
				mu.Lock()
				defer mu.Unlock()
				for _, source := range regexp.MustCompile(`(?m)^# Source: [^/]+/templates/(.*)$`).FindAllStringSubmatch(out, -1) {
					seen[source[1]] = true
				}
			})
		}
	})
	for _, template := range templates(t) {
		if !seen[template] {
			t.Errorf("no case renders %s", template)
		}
	}
}

// templates returns the files of the chart that render objects.
func templates(t *testing.T) []string {
	t.Helper()
	dir := filepath.Join(chartDir(t), "templates")
	var all []string
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".yaml" {
			return err
		}
		name, err := filepath.Rel(dir, path)
		all = append(all, filepath.ToSlash(name))
		return err
	})
	suite.Check(t, err)
	return all
}

func chartDir(t *testing.T) string {
	t.Helper()
	root, err := project.Root()
	suite.Check(t, err)
	return filepath.Join(root, "charts", "node-restriction-plus")
}

// helmTemplate renders the chart.
func helmTemplate(t *testing.T, helm string, values ...string) string {
	t.Helper()
	version, err := binaries.KubeAPIServer().Version()
	suite.Check(t, err)
	args := append([]string{"template", "nrp", chartDir(t), "--namespace=" + restricted, "--kube-version=" + version}, values...)
	var out, errors bytes.Buffer
	cmd := exec.CommandContext(t.Context(), helm, args...)
	cmd.Stdout, cmd.Stderr = &out, &errors
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s", err, &errors)
	}
	return out.String()
}

// server is an API server that knows all kinds of the chart.
type server struct {
	helm     string
	ca       *controlplane.CA
	client   dynamic.Interface
	mapper   meta.RESTMapper
	warnings *warnings
}

func newServer(t *testing.T) *server {
	t.Helper()
	plane := suite.New(t, "profiles", controlplane.APIServerOptions{})
	config, err := plane.ControlPlane.Admin()
	suite.Check(t, err)
	s := &server{ca: plane.ControlPlane.CA, warnings: &warnings{}}
	config.WarningHandlerWithContext = s.warnings
	s.helm, err = binaries.Helm(t.Context(), t.Output())
	suite.Check(t, err)

	suite.Check(t, plane.Kubectl.Apply(t.Context(), definitions(t)))
	_, err = plane.Kubectl.Run(t.Context(), nil, "wait", "--for=condition=Established", "--all", "--timeout=2m", "crd")
	suite.Check(t, err)

	clientset, err := kubernetes.NewForConfig(config)
	suite.Check(t, err)
	for _, level := range []string{restricted, privileged} {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
			Name: level, Labels: map[string]string{"pod-security.kubernetes.io/warn": level},
		}}
		_, err := clientset.CoreV1().Namespaces().Create(t.Context(), namespace, metav1.CreateOptions{})
		suite.Check(t, err)
	}
	s.client, err = dynamic.NewForConfig(config)
	suite.Check(t, err)
	s.mapper = restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(clientset.Discovery()))
	return s
}

// warnings collects the warnings of an API server by the object in the context.
type warnings struct {
	mu  sync.Mutex
	all map[string][]string
}

type sending struct{} // key of a context

// HandleWarningHeaderWithContext implements rest.WarningHandlerWithContext.
func (w *warnings) HandleWarningHeaderWithContext(ctx context.Context, _ int, _, text string) {
	what, _ := ctx.Value(sending{}).(string)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.all == nil {
		w.all = map[string][]string{}
	}
	w.all[what] = append(w.all[what], text)
}

func (w *warnings) of(what string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.all[what]
}

// objects returns the objects of a manifest, including those in the files for control-plane nodes.
func (s *server) objects(t *testing.T, manifest string) []*unstructured.Unstructured {
	t.Helper()
	var all []*unstructured.Unstructured
	for decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(manifest), 4096); ; {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(&object.Object)
		if errors.Is(err, io.EOF) {
			return all
		}
		suite.Check(t, err)
		if len(object.Object) == 0 {
			continue
		}
		all = append(all, object)
		files, _, err := unstructured.NestedStringMap(object.Object, "data")
		if object.GetKind() == "ConfigMap" && strings.HasSuffix(object.GetName(), "-files") {
			suite.Check(t, err)
			for name, text := range files {
				if name != "admission-configuration.yaml" { // which the API server reads at its start
					all = append(all, s.objects(t, text)...)
				}
			}
		}
	}
}

// tryOut sends an object, which must be accepted without a warning.
func (s *server) tryOut(t *testing.T, object *unstructured.Unstructured) {
	t.Helper()
	what := t.Name() + ": " + object.GetKind() + " " + object.GetName()
	// The suffix is for files only.
	object.SetName(strings.TrimSuffix(object.GetName(), ".static.k8s.io"))
	if policy, found, _ := unstructured.NestedString(object.Object, "spec", "policyName"); found {
		suite.Check(t, unstructured.SetNestedField(object.Object, strings.TrimSuffix(policy, ".static.k8s.io"), "spec", "policyName"))
	}
	mapping, err := s.mapper.RESTMapping(object.GroupVersionKind().GroupKind(), object.GroupVersionKind().Version)
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	var client dynamic.ResourceInterface = s.client.Resource(mapping.Resource)
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		if object.GetNamespace() == restricted && usesNode(object) {
			object.SetNamespace(privileged)
		}
		client = s.client.Resource(mapping.Resource).Namespace(object.GetNamespace())
	}
	ctx := context.WithValue(t.Context(), sending{}, what)
	data, err := object.MarshalJSON()
	suite.Check(t, err)
	_, err = client.Patch(ctx, object.GetName(), "application/apply-patch+yaml", data, metav1.PatchOptions{
		DryRun: []string{metav1.DryRunAll}, FieldManager: "helm", FieldValidation: metav1.FieldValidationStrict,
	})
	if err != nil {
		t.Errorf("%s: %v", what, err)
	}
	for _, warning := range s.warnings.of(what) {
		t.Errorf("%s: warning: %s", what, warning)
	}
}

// usesNode reports whether pods use the network or files of their node.
func usesNode(object *unstructured.Unstructured) bool {
	paths := [][]string{{"spec"}, {"spec", "template", "spec"}}
	return slices.ContainsFunc(paths, func(path []string) bool {
		host, _, _ := unstructured.NestedBool(object.Object, append(slices.Clone(path), "hostNetwork")...)
		volumes, _, _ := unstructured.NestedSlice(object.Object, append(slices.Clone(path), "volumes")...)
		return host || strings.Contains(fmt.Sprint(volumes), "hostPath")
	})
}
