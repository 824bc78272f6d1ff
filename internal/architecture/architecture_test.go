// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package architecture_test tests what no package can test of itself: which packages there are, what they import and
// declare, and what lies in the tree.
package architecture_test

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"noderestriction.plus/internal/program"
)

const (
	module = "noderestriction.plus"
	// root is the root of the repository.
	root = "../.."
)

// arrows says what each package may import of this module, tests aside.
var arrows = map[string]struct {
	may []string
	why string
}{
	"api/v1alpha1":  {nil, "others import the API; it must not bring this program with it"},
	"internal/text": {nil, "how foreign text is shown does not depend on what it is about"},
	"policy": {
		[]string{"api/v1alpha1", "internal/text", "policy/expression", "policy/object", "policy/pattern"},
		"the engine evaluates what it is given, wherever it runs, by rules that it is handed and does not know",
	},
	"policy/expression": {nil, "it builds texts, and knows neither rules nor objects"},
	"policy/object": {
		[]string{"internal/text", "policy/pattern"}, "an object is read without knowing which rules ask, or of what request it is",
	},
	"policy/pattern": {[]string{"api/v1alpha1", "internal/text"}, "what a policy says in text means the same to everybody"},
	"policy/rules": {
		[]string{"api/v1alpha1", "internal/text", "policy", "policy/expression", "policy/object", "policy/pattern"},
		"a rule is handed to the engine, and knows nothing of those who run it",
	},
	"internal/program":   {nil, "every package may need the program's name and version"},
	"internal/faultlog":  {nil, "how a fault is logged does not depend on what failed"},
	"internal/command":   {[]string{"internal/program", "internal/text"}, "what all commands share knows none of them"},
	"internal/input":     {nil, "how a text is stored has nothing to do with what it says"},
	"config/crd":         {nil, "it is the generated CRD, and nothing else"},
	"internal/detection": {nil, "the languages of detection rules are those of others, and read by tests only"},
	"internal/commandtest": {
		[]string{"internal/command", "internal/docs", "internal/program"},
		"scripts and pages are tested alike for all commands, in tests only",
	},
	"internal/kubeconfig": {
		[]string{"internal/program"}, "how the API server is reached has nothing to do with what it is asked",
	},
	"internal/review": {
		[]string{"api/v1alpha1", "policy", "policy/object", "internal/program", "internal/text"},
		"the webhook and the command review must decode and answer alike, with nothing of either",
	},
	"internal/record": {[]string{"api/v1alpha1", "policy", "internal/text"}, "the command review prints the records that the webhook writes"},
	"internal/recordlog": {
		[]string{"api/v1alpha1", "policy", "internal/input", "internal/record", "internal/text"}, "a log is read far from the cluster that wrote it",
	},
	"internal/decisionlog": {
		[]string{"policy", "internal/auditlog", "internal/program", "internal/record", "internal/recordlog", "internal/review", "internal/text"},
		"an audit log is read far from the API server that wrote it, and as records are",
	},
	"internal/diff": {
		[]string{
			"api/v1alpha1", "internal/cli", "internal/command", "internal/replay", "internal/replaylog", "internal/text", "policy",
			"policy/pattern", "policy/rules",
		},
		"policies are compared by what their fields mean, and read as the other commands read them",
	},
	"internal/crosscheck": {
		[]string{"policy", "internal/auditlog", "internal/decisionlog", "internal/record", "internal/recordlog"},
		"records and audit logs are compared as they were read; how the result is shown is not its business",
	},
	"internal/manifest": {
		[]string{
			"api/v1alpha1", "config/crd", "policy", "policy/object", "internal/authorization", "internal/input", "internal/rbac", "internal/text",
		},
		"it reads what people write, for commands and for fixtures",
	},
	"internal/fixture": {
		[]string{"api/v1alpha1", "policy", "internal/manifest", "internal/review", "internal/text"},
		"fixtures run in tests, in the command test and in e2e; who is a kubelet is for the review to say",
	},
	"internal/apidoc":       {[]string{"config/crd"}, "the CRD documents the fields, for pages and for the command explain alike"},
	"internal/distribution": {nil, "it merges texts, and does not know what they say"},
	"internal/shapetest":    {[]string{"policy", "internal/review"}, "recorded writes are made again in tests only"},
	"internal/reviewload":   {nil, "what a kubelet writes does not depend on who evaluates it; only benchmarks need it"},
	"internal/docs": {
		[]string{"internal/apidoc", "internal/authorization", "internal/knowngrants", "internal/nodeauthorizer", "policy"},
		"the pages are rendered from what they are handed: rules, metrics, commands, tables",
	},
	"internal/compile": {
		[]string{"api/v1alpha1", "policy", "policy/expression", "internal/program"},
		"what the rules say in CEL is put together without knowing which rules there are",
	},
	"internal/cli": {
		[]string{
			"api/v1alpha1", "policy", "policy/pattern", "policy/rules", "internal/review", "internal/record",
			"internal/recordlog", "internal/manifest", "internal/fixture", "internal/command", "internal/compile", "internal/program",
			"internal/report", "internal/text", "internal/apidoc",
		},
		"the commands that need no cluster must not wait for one",
	},
	"internal/denials": {
		[]string{
			"api/v1alpha1", "policy", "policy/pattern", "policy/rules", "internal/auditlog", "internal/crosscheck",
			"internal/decisionlog", "internal/record", "internal/recordlog", "internal/command", "internal/program", "internal/text", "internal/denials/page",
		},
		"a log is read far from the cluster that wrote it, and without its policies",
	},
	"internal/promote": {
		[]string{
			"api/v1alpha1", "policy", "policy/rules", "internal/auditlog", "internal/command", "internal/denials", "internal/input",
			"internal/manifest", "internal/program", "internal/recordlog", "internal/replay", "internal/replaylog", "internal/stockwrites", "internal/text",
		},
		"a policy is promoted by what was written down, far from the cluster that wrote it",
	},
	"internal/replay": {
		[]string{
			"api/v1alpha1", "policy", "policy/object", "policy/rules", "internal/auditlog", "internal/authorization", "internal/program",
			"internal/review",
		},
		"the writes in a log are evaluated by the engine alone, for every command that asks what policies would have done",
	},
	"internal/replays": {
		[]string{
			"api/v1alpha1", "policy", "policy/pattern", "policy/rules", "internal/auditlog", "internal/cli", "internal/command",
			"internal/replay", "internal/replaylog", "internal/report", "internal/text",
		},
		"a log is read far from the cluster that wrote it",
	},
	"internal/authorization": {nil, "a question to an authorizer does not depend on who asks or answers it"},
	"internal/nodeauthorizer": {
		[]string{"internal/authorization"}, "what Kubernetes intends is data, for every command that compares a cluster with it",
	},
	"internal/rbac": {[]string{"internal/authorization"}, "RBAC is evaluated in the same way for facts and for commands"},
	"internal/knowngrants": {
		[]string{"internal/authorization", "internal/nodeauthorizer", "internal/rbac"}, "what distributions grant is data, beside what Kubernetes intends",
	},
	"internal/access": {
		[]string{"internal/authorization", "internal/guarded", "internal/rbac", "internal/text"},
		"what an API server says is read without knowing what it is compared with",
	},
	"internal/guarded": {[]string{"internal/program"}, "how requests are guarded has nothing to do with what they ask"},
	"internal/rights": {
		[]string{
			"api/v1alpha1", "internal/access", "internal/auditlog", "internal/authorization", "internal/command", "internal/input", "internal/knowngrants",
			"internal/manifest", "internal/nodeauthorizer", "internal/program", "internal/rbac", "internal/report", "internal/text",
			"policy/pattern",
		},
		"permissions are read from outside, with what the API server says; of the engine, only the names of nodes in a policy count",
	},
	"internal/report": {[]string{"internal/program"}, "a format of CI systems, and what pages share, does not depend on what is reported"},
	"internal/attack": {
		[]string{
			"policy", "policy/rules", "internal/cli", "internal/command", "internal/guarded", "internal/manifest", "internal/program",
			"internal/report", "internal/review", "internal/text",
		},
		"attacks are tried from outside, with what the engine and the API server say; nothing of the webhook helps them",
	},
	"internal/auditlog": {
		[]string{"internal/authorization", "internal/input"},
		"what an API server has logged is read once, without knowing what is asked about it",
	},
	"internal/authorizer": {
		[]string{
			"policy/expression", "internal/auditlog", "internal/authorization", "internal/command", "internal/input", "internal/manifest",
			"internal/nodeauthorizer", "internal/program", "internal/rbac", "internal/text",
		},
		"the entry is for API servers, and has nothing to do with policies or with the webhook",
	},
	"internal/replaylog": {
		[]string{"internal/auditlog", "internal/command", "internal/input", "internal/replay", "internal/text"},
		"each command about a replay reads the same files in the same way",
	},
	"config/policies": {nil, "it is the policy recommended, and nothing else"},
	"internal/learn": {
		[]string{
			"api/v1alpha1", "config/policies", "policy", "policy/object", "policy/pattern", "policy/rules", "internal/command", "internal/input",
			"internal/manifest", "internal/replay", "internal/replaylog", "internal/text",
		},
		"a policy is widened by what its rules say of a log, far from the cluster that wrote it",
	},
	"internal/doctor/checks": {
		[]string{
			"api/v1alpha1", "internal/authorization", "internal/knowngrants", "internal/nodeauthorizer", "internal/program", "internal/rbac",
			"internal/text", "internal/wiring",
		},
		"a check is a function of a snapshot: who reads the snapshot is not its business, and nothing of the webhook helps it",
	},
	"internal/doctor": {
		[]string{
			"api/v1alpha1", "internal/access", "internal/authorization", "internal/command", "internal/doctor/checks", "internal/program",
			"internal/report", "internal/text",
		},
		"it reads a snapshot and prints findings; what they are is for the checks to say",
	},
	"internal/denials/page": {
		[]string{"internal/text", "internal/program"},
		"the page is handed finished texts",
	},
	"internal/denials/pagetest": {[]string{"internal/text"}, "pages are compared in tests only"},
	"internal/newrule":          {nil, "it must also run when the rules do not compile"},
	"internal/demo":             {[]string{"internal/cli", "internal/command", "internal/fixture"}, "it must build in a fraction of the time of the rest"},
	"internal/policystatus": {
		[]string{"api/v1alpha1", "internal/program"}, "one package writes the status, for the store, the sinks and the probe",
	},
	"internal/stockwrites": {
		[]string{"policy"}, "what stock kubelets write is data, for the webhook that counts it and for the command that wants to see it",
	},
	"internal/denial": {
		[]string{
			"api/v1alpha1", "policy", "internal/record", "internal/policystatus", "internal/program", "internal/stockwrites", "internal/text",
			"internal/faultlog",
		},
		"a sink takes records; it does not know where they come from",
	},
	"internal/policystore": {
		[]string{"api/v1alpha1", "policy", "internal/policystatus", "internal/program"}, "the store holds policies; it does not know who reads them",
	},
	"internal/cluster": {
		[]string{"api/v1alpha1", "policy", "policy/object", "internal/faultlog"}, "lookups are the engine's Facts, and nothing more",
	},
	"internal/deadline": {nil, "when an answer is due is said once, for the listener and for the handlers"},
	"internal/server":   {[]string{"internal/deadline", "internal/faultlog"}, "the listener serves any handler"},
	"internal/certificates": {
		[]string{"internal/server", "internal/program", "internal/faultlog"},
		"a certificate is what the listener asks for; what it is served for is not its business",
	},
	"internal/delegatedauth": {[]string{"internal/faultlog"}, "who may read the metrics has nothing to do with what they say"},
	"internal/enforced": {
		[]string{"api/v1alpha1", "internal/faultlog", "internal/policystatus", "internal/text"},
		"one package writes the condition, for all packages that verify enforcement",
	},
	"internal/wiring": {
		[]string{"api/v1alpha1", "internal/text"}, "what is installed is compared with what it says of itself, wherever it was read",
	},
	"internal/conditions": {
		[]string{"api/v1alpha1", "policy", "policy/expression", "internal/compile", "internal/program"},
		"conditions are composed of what is compiled, wherever they are written",
	},
	"internal/follow": {
		[]string{
			"api/v1alpha1", "policy", "internal/conditions", "internal/faultlog", "internal/policystatus", "internal/policystore",
			"internal/program", "internal/text", "internal/wiring",
		},
		"it writes what is composed from the policies in force; what violates a rule is not its business",
	},
	"internal/wiringcheck": {
		[]string{"internal/enforced", "internal/faultlog", "internal/wiring"}, "it reads and reports; another package knows what a difference is",
	},
	"internal/sent": {
		[]string{"api/v1alpha1", "internal/faultlog", "internal/policystatus", "internal/text", "internal/wiring"},
		"it says of each policy what was found; who reads the webhook configuration is not its business",
	},
	"internal/probe": {
		[]string{
			"internal/enforced", "internal/review", "internal/command", "internal/kubeconfig",
		},
		"the probe must be what the review takes for one; the command probe is the same write by hand",
	},
	"webhooks": {
		[]string{
			"api/v1alpha1", "policy", "internal/review", "internal/record", "internal/denial", "internal/policystore",
			"internal/deadline", "internal/text",
		},
		"a handler decodes, evaluates, records and answers; rules and listeners are not its business",
	},
	"internal/serve": {
		[]string{
			"api/v1alpha1", "webhooks", "internal/certificates", "internal/cluster", "internal/command", "internal/conditions",
			"internal/delegatedauth", "internal/denial", "internal/enforced", "internal/follow", "internal/kubeconfig", "internal/policystore", "internal/probe", "internal/program",
			"internal/faultlog", "internal/review", "internal/sent", "internal/server", "internal/text", "internal/wiringcheck", "policy",
			"policy/rules",
		},
		"serve puts the parts of the webhook together; the commands that need no cluster are not among them",
	},
	"": {
		[]string{"internal/command", "internal/probe", "internal/serve"},
		"main wires the commands and does nothing itself; the command-line tool is another program",
	},
	"cmd/kubectl-nrp": {
		[]string{
			"internal/attack", "internal/authorizer", "internal/cli", "internal/command", "internal/denials", "internal/diff",
			"internal/doctor", "internal/learn", "internal/promote", "internal/replays", "internal/rights",
		},
		"main wires the commands and does nothing itself",
	},
}

// bans are packages and the modules that they must not bring with them, not even through others.
var bans = []struct {
	packages, modules []string
	why               string
}{
	{
		[]string{
			"policy", "policy/expression", "policy/object", "policy/pattern", "policy/rules", "internal/text",
			"internal/auditlog", "internal/authorizer", "internal/learn", "internal/replay", "internal/replaylog", "internal/replays",
			"internal/cli", "internal/compile", "internal/denials", "internal/denials/page", "internal/command",
			"internal/program", "internal/report",
			"internal/review", "internal/record", "internal/recordlog", "internal/decisionlog", "internal/manifest", "internal/fixture", "internal/input",
			"internal/crosscheck", "internal/diff",
			"config/crd", "internal/apidoc", "internal/wiring", "internal/conditions", "internal/authorization", "internal/nodeauthorizer",
			"internal/knowngrants", "internal/rbac", "internal/doctor/checks", "internal/promote", "internal/stockwrites",
		},
		[]string{
			"k8s.io/client-go", "sigs.k8s.io/controller-runtime", "go.uber.org/zap", "github.com/go-logr/zapr",
			"github.com/prometheus/client_golang", "k8s.io/apiserver",
		},
		"evaluating a write needs no cluster, no log and no metrics: the same code runs in tests, the command-line tool and e2e",
	},
	{
		[]string{"internal/demo"},
		[]string{"k8s.io/client-go", module + "/internal/attack", module + "/internal/rights"},
		"the first part of make demo shows something while the rest builds, so it links no client",
	},
	{
		[]string{"cmd/kubectl-nrp", "internal/access", "internal/attack", "internal/doctor", "internal/guarded", "internal/rights"},
		[]string{
			"k8s.io/client-go/kubernetes", "sigs.k8s.io/controller-runtime", "go.uber.org/zap", "github.com/go-logr/zapr",
			"github.com/prometheus/client_golang", "k8s.io/apiserver",
		},
		"of the command-line tool only attack, doctor and rights talk to a cluster. They send a few kinds of requests through a guard: a kubeconfig and " +
			"HTTP are enough, and the typed clients would be most of the program",
	},
	{
		[]string{""},
		[]string{
			"google.golang.org/grpc", "go.opentelemetry.io/otel/sdk", "github.com/google/cel-go",
			"github.com/go-ldap/ldap", "github.com/Azure/go-ntlmssp", "github.com/cert-manager/cert-manager",
		},
		"each replica has what it imports in memory and in its attack surface, and never calls these",
	},
	{
		[]string{""},
		[]string{
			module + "/internal/access", module + "/internal/attack", module + "/internal/auditlog", module + "/internal/authorizer",
			module + "/internal/rights", module + "/internal/cli", module + "/internal/denials", module + "/internal/diff",
			module + "/internal/doctor", module + "/internal/fixture", module + "/internal/learn", module + "/internal/promote",
			module + "/internal/replay", module + "/internal/replaylog",
			module + "/internal/replays",
		},
		"the command-line tool is not part of the webhook's image",
	},
	{
		[]string{""},
		[]string{"html/template"},
		"it calls methods by names that the linker cannot know, so that the program keeps all methods of all types",
	},
}

// goPackage is what go list says of a package.
type goPackage struct {
	Dir, ImportPath, Name  string
	GoFiles, Imports, Deps []string
}

// local is the path of a package in this module.
func (p *goPackage) local() string {
	return strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
}

// readTree reads every directory, so that go test does not take an earlier result for current after a change: what go list
// reads, go test does not see.
func readTree(t *testing.T) {
	t.Helper()
	if err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && path != root && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "bin") {
			return fs.SkipDir
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

func listPackages(t *testing.T) []*goPackage {
	t.Helper()
	readTree(t)
	list := exec.Command("go", "list", "-pgo=off", "-json=Dir,ImportPath,Name,GoFiles,Imports,Deps", "./...")
	list.Dir = root
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	var packages []*goPackage
	decoder := json.NewDecoder(strings.NewReader(string(out)))
	for {
		p := &goPackage{}
		err := decoder.Decode(p)
		if errors.Is(err, io.EOF) {
			return packages
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(p.GoFiles) > 0 {
			packages = append(packages, p)
		}
	}
}

func TestImports(t *testing.T) {
	for _, p := range listPackages(t) {
		arrow, known := arrows[p.local()]
		if !known {
			t.Errorf("%s: say in internal/architecture what it may import, and why", p.ImportPath)
		}
		for _, imported := range p.Imports {
			name, ours := strings.CutPrefix(imported, module+"/")
			if ours && known && !slices.Contains(arrow.may, name) {
				t.Errorf("%s must not import %s: %s", p.ImportPath, imported, arrow.why)
			}
		}
		for _, ban := range bans {
			if !slices.Contains(ban.packages, p.local()) {
				continue
			}
			for _, imported := range p.Deps {
				if slices.ContainsFunc(ban.modules, func(module string) bool {
					return imported == module || strings.HasPrefix(imported, module+"/")
				}) {
					t.Errorf("%s must not import %s, not even through others: %s", p.ImportPath, imported, ban.why)
				}
			}
		}
	}
}

// TestDirectories finds what some command has left in the tree.
func TestDirectories(t *testing.T) {
	directories := []string{"api", "bin", "charts", "cmd", "config", "docs", "e2e", "internal", "policy", "tools", "webhooks"}
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if name := entry.Name(); entry.IsDir() && !strings.HasPrefix(name, ".") && !slices.Contains(directories, name) {
			t.Errorf("%q: a directory of this name is not part of the project", name)
		}
	}
}

// TestRootHasOneFile keeps package main to the wiring: what can be tested is in a package of its own.
func TestRootHasOneFile(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 1 || filepath.Base(files[0]) != "main.go" {
		t.Errorf("the root has %q, want main.go alone", files)
	}
}

// TestProgramNameIsSaidOnce finds names that are made of a program's name without [program.Name] or [program.Plugin]. Texts for people may
// have it among other words.
func TestProgramNameIsSaidOnce(t *testing.T) {
	name := regexp.MustCompile("^[\"`](" + program.Name + `[-/a-z]*|` + program.Plugin + `)["` + "`]$")
	for _, p := range listPackages(t) {
		for _, file := range p.GoFiles {
			tree, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, file), nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(tree, func(n ast.Node) bool {
				if l, ok := n.(*ast.BasicLit); ok && name.MatchString(l.Value) && p.local() != "internal/program" {
					t.Errorf("%s: use package program in place of %s", filepath.Join(p.local(), file), l.Value)
				}
				return true
			})
		}
	}
}

func TestPackages(t *testing.T) {
	for _, p := range listPackages(t) {
		for _, word := range []string{"util", "utils", "helper", "helpers", "common", "misc"} {
			if path.Base(p.ImportPath) == word {
				t.Errorf("%s: name a package after what it is, or leave its code with its only caller", p.ImportPath)
			}
		}
		documented := 0
		for _, name := range p.GoFiles {
			path := filepath.Join(p.Dir, name)
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			if file.Doc != nil {
				documented++
			}
			if !strings.HasPrefix(name, "zz_generated.") {
				checkDeclarations(t, filepath.Join(p.local(), name), file)
			}
		}
		if documented != 1 {
			t.Errorf("%s has %d package comments, want one", p.ImportPath, documented)
		}
	}
}

// checkDeclarations fails for what would let one part of the program change another behind its back.
func checkDeclarations(t *testing.T, path string, file *ast.File) {
	for _, declaration := range file.Decls {
		switch d := declaration.(type) {
		case *ast.FuncDecl:
			if d.Name.Name == "init" && d.Recv == nil {
				t.Errorf("%s: func init runs behind its readers' backs; call it by name", path)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if v, ok := spec.(*ast.ValueSpec); ok && d.Tok == token.VAR && !isConstant(v) && !isEmbedded(d) {
					t.Errorf("%s: %s is a variable of the package; make it a constant, or pass it", path, v.Names[0].Name)
				}
			}
		}
	}
}

// isEmbedded reports whether a declaration is of a file that the compiler embeds, for which Go has no constants.
func isEmbedded(d *ast.GenDecl) bool {
	return d.Doc != nil && len(d.Specs) == 1 && slices.ContainsFunc(d.Doc.List, func(line *ast.Comment) bool {
		return strings.HasPrefix(line.Text, "//go:embed ")
	})
}

// isConstant reports whether a variable is one in name only: an assertion that a type implements an interface, an error, or a value that
// is computed once, from constants, by the first reader.
func isConstant(v *ast.ValueSpec) bool {
	if v.Names[0].Name == "_" {
		return true
	}
	return len(v.Values) == len(v.Names) && !slices.ContainsFunc(v.Values, func(value ast.Expr) bool {
		call, ok := value.(*ast.CallExpr)
		if !ok {
			return true
		}
		function, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		pkg, ok := function.X.(*ast.Ident)
		return !ok || !slices.Contains([]string{"errors.New", "sync.OnceValue", "sync.OnceValues"}, pkg.Name+"."+function.Sel.Name)
	})
}
