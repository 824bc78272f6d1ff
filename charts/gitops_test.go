// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"encoding/json"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	helmv2 "github.com/fluxcd/helm-controller/api/v2"
	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	lua "github.com/yuin/gopher-lua"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"noderestriction.plus/api/v1alpha1"
)

// application has the fields of Argo CD's Application that the example sets. Its Go module would bring all of Kubernetes with it.
type application struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Project     string `json:"project"`
		Destination struct {
			Server    string `json:"server"`
			Namespace string `json:"namespace"`
		} `json:"destination"`
		Source struct {
			RepoURL        string `json:"repoURL"`
			TargetRevision string `json:"targetRevision"`
			Path           string `json:"path"`
			Helm           struct {
				ReleaseName  string          `json:"releaseName"`
				APIVersions  []string        `json:"apiVersions"`
				ValuesObject json.RawMessage `json:"valuesObject"`
			} `json:"helm"`
		} `json:"source"`
		IgnoreDifferences []struct {
			Group             string   `json:"group"`
			Kind              string   `json:"kind"`
			Name              string   `json:"name"`
			JQPathExpressions []string `json:"jqPathExpressions"`
		} `json:"ignoreDifferences"`
		SyncPolicy struct {
			Automated struct {
				Prune    bool `json:"prune"`
				SelfHeal bool `json:"selfHeal"`
			} `json:"automated"`
			SyncOptions []string `json:"syncOptions"`
		} `json:"syncPolicy"`
	} `json:"spec"`
}

// documentsOf returns the documents of a file of config/gitops.
func documentsOf(t *testing.T, name string) []string {
	t.Helper()
	data, err := os.ReadFile("../config/gitops/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(data), "\n---\n")
}

func strictly(t *testing.T, document string, into any) {
	t.Helper()
	if err := yaml.UnmarshalStrict([]byte(document), into); err != nil {
		t.Fatalf("%v in\n%s", err, document)
	}
}

// renderTwice renders the chart, and fails if a second time brings something else.
func renderTwice(t *testing.T, arguments ...string) rendered {
	t.Helper()
	first, err := helmTemplate(t, arguments...)
	if err != nil {
		t.Fatal(err)
	}
	if second, err := helmTemplate(t, arguments...); err != nil || first != second {
		t.Errorf("two renderings differ: %v", err)
	}
	return rendered{objects: decode(t, first)}
}

// TestArgoCD renders the chart as the Application says.
func TestArgoCD(t *testing.T) {
	documents := documentsOf(t, "argocd/application.yaml")
	if len(documents) != 1 {
		t.Fatalf("there are %d documents", len(documents))
	}
	app := &application{}
	strictly(t, documents[0], app)
	if app.APIVersion != "argoproj.io/v1alpha1" || app.Kind != "Application" || path.Base(app.Spec.Source.Path) != chart {
		t.Errorf("it is %s %s of %s", app.APIVersion, app.Kind, app.Spec.Source.Path)
	}
	arguments := []string{"--values", valuesFile(t, string(app.Spec.Source.Helm.ValuesObject))}
	for _, version := range app.Spec.Source.Helm.APIVersions {
		arguments = append(arguments, "--api-versions", version)
	}
	r := renderTwice(t, arguments...)
	policy := get[*v1alpha1.NodeRestrictionPolicy](t, r, "recommended")
	if hook, found := policy.Annotations["helm.sh/hook"]; found {
		t.Errorf("the first sync has the policy as the hook %s", hook)
	}
	if option := policy.Annotations["argocd.argoproj.io/sync-options"]; option != "SkipDryRunOnMissingResource=true" {
		t.Errorf("the policy has the sync options %q", option)
	}
	for _, want := range []string{"ServerSideApply=true", "RespectIgnoreDifferences=true"} {
		if !slices.Contains(app.Spec.SyncPolicy.SyncOptions, want) {
			t.Errorf("there is no sync option %s", want)
		}
	}
	ignored := app.Spec.IgnoreDifferences
	if len(ignored) != 1 || ignored[0].Name != chart ||
		!slices.Equal(ignored[0].JQPathExpressions, []string{".webhooks[]?.clientConfig.caBundle"}) {
		t.Errorf("it ignores %v", ignored)
	}
}

// TestFlux decodes the files with the types of Flux, and renders the chart with the values of the release.
func TestFlux(t *testing.T) {
	documents := documentsOf(t, "flux/release.yaml")
	if len(documents) != 3 {
		t.Fatalf("there are %d documents", len(documents))
	}
	namespace, source, release := &corev1.Namespace{}, &sourcev1.GitRepository{}, &helmv2.HelmRelease{}
	strictly(t, documents[0], namespace)
	strictly(t, documents[1], source)
	strictly(t, documents[2], release)
	if source.APIVersion != sourcev1.GroupVersion.String() || release.APIVersion != helmv2.GroupVersion.String() ||
		release.Spec.Chart.Spec.SourceRef.Name != source.Name || path.Base(release.Spec.Chart.Spec.Chart) != chart ||
		source.Namespace != namespace.Name || release.Namespace != namespace.Name {
		t.Errorf("they do not belong together: %+v, %+v", source, release)
	}
	r := renderTwice(t, "--values", valuesFile(t, string(release.Spec.Values.Raw)))
	var ignored []string
	for _, rule := range release.Spec.DriftDetection.Ignore {
		ignored = append(ignored, rule.Paths...)
	}
	configuration := get[*admissionregistrationv1.ValidatingWebhookConfiguration](t, r, chart)
	if len(ignored) != len(configuration.Webhooks) {
		t.Errorf("of %d webhooks these CAs are ignored: %v", len(configuration.Webhooks), ignored)
	}

	documents = documentsOf(t, "flux/policies.yaml")
	if len(documents) != 2 {
		t.Fatalf("there are %d documents", len(documents))
	}
	repository, kustomization := &sourcev1.GitRepository{}, &kustomizev1.Kustomization{}
	strictly(t, documents[0], repository)
	strictly(t, documents[1], kustomization)
	if kustomization.APIVersion != kustomizev1.GroupVersion.String() || kustomization.Spec.SourceRef.Name != repository.Name ||
		!kustomization.Spec.Wait {
		t.Errorf("they do not belong together: %+v, %+v", repository, kustomization)
	}
}

// TestHealthOfPolicies runs the health check for Argo CD as Argo CD does: the global obj is the object, and the result a table.
func TestHealthOfPolicies(t *testing.T) {
	config := &corev1.ConfigMap{}
	strictly(t, documentsOf(t, "argocd/health.yaml")[0], config)
	script := config.Data["resource.customizations.health.noderestriction.plus_"+v1alpha1.Kind]
	for status, want := range map[string]string{
		``:                "Progressing",
		`"conditions":[]`: "Progressing",
		`"conditions":[{"type":"Enforced","status":"False"}]`:                                              "Progressing",
		`"conditions":[{"type":"Ready","status":"Unknown"}]`:                                               "Progressing",
		`"conditions":[{"type":"Ready","status":"True","observedGeneration":1,"message":"m"}]`:             "Progressing",
		`"conditions":[{"type":"Enforced"},{"type":"Ready","status":"True","observedGeneration":2}]`:       "Healthy",
		`"conditions":[{"type":"Ready","status":"False","observedGeneration":2,"message":"spec: is bad"}]`: "Degraded",
	} {
		var object any
		if err := json.Unmarshal([]byte(`{"metadata":{"generation":2},"status":{`+status+`}}`), &object); err != nil {
			t.Fatal(err)
		}
		l := lua.NewState()
		defer l.Close()
		l.SetGlobal("obj", luaValue(l, object))
		if err := l.DoString(script); err != nil {
			t.Fatalf("%s: %v", status, err)
		}
		if got := l.GetField(l.Get(-1), "status").String(); got != want {
			t.Errorf("%s is %s, want %s", status, got, want)
		}
	}
}

func luaValue(l *lua.LState, value any) lua.LValue {
	switch v := value.(type) {
	case map[string]any:
		table := l.NewTable()
		for key, field := range v {
			table.RawSetString(key, luaValue(l, field))
		}
		return table
	case []any:
		table := l.NewTable()
		for _, item := range v {
			table.Append(luaValue(l, item))
		}
		return table
	case string:
		return lua.LString(v)
	case float64:
		return lua.LNumber(v)
	case bool:
		return lua.LBool(v)
	}
	return lua.LNil
}
