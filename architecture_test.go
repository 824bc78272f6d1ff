package main_test

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "noderestriction.plus"

// arrows says what each package may import of this module, tests aside.
var arrows = map[string]struct {
	may []string
	why string
}{
	"api/v1alpha1": {nil, "others import the API; it must not bring this program with it"},
	"policy":       {[]string{"api/v1alpha1"}, "the engine judges what it is given, wherever it runs"},
	"internal/review": {
		[]string{"api/v1alpha1", "policy"}, "the webhook and the command review must decode and answer alike, with nothing of either",
	},
	"internal/record": {[]string{"api/v1alpha1", "policy"}, "the command review prints the records that the webhook writes"},
	"internal/recordlog": {
		[]string{"api/v1alpha1", "policy", "internal/record"}, "a log is read far from the cluster that wrote it",
	},
	"internal/manifest": {[]string{"api/v1alpha1", "policy"}, "it reads what people write, for commands and for fixtures"},
	"internal/fixture": {
		[]string{"api/v1alpha1", "policy", "internal/manifest", "internal/review"},
		"fixtures run in tests, in the command test and in e2e; who is a kubelet is for the review to say",
	},
	"internal/docs": {[]string{"policy"}, "the pages are rendered from the rules"},
	"internal/cli": {
		[]string{
			"api/v1alpha1", "policy", "internal/review", "internal/record", "internal/recordlog", "internal/manifest",
			"internal/fixture",
		},
		"the commands that need no cluster must not wait for one",
	},
	"internal/demo": {[]string{"internal/cli", "internal/fixture"}, "it must build in a fraction of the time of the rest"},
	"internal/denial": {
		[]string{"api/v1alpha1", "policy", "internal/record"}, "a sink takes records; it does not know where they come from",
	},
	"internal/policystore": {[]string{"api/v1alpha1", "policy"}, "the store holds policies; it does not know who reads them"},
	"internal/cluster":     {[]string{"api/v1alpha1", "policy"}, "look-ups are the engine's Facts, and nothing more"},
	"internal/deadline":    {nil, "when an answer is due is said once, for the listener and for the handlers"},
	"internal/server":      {[]string{"internal/deadline"}, "the listener serves any handler"},
	"internal/certificates": {
		[]string{"internal/server"}, "a certificate is what the listener asks for; what it is served for is not its business",
	},
	"internal/delegatedauth": {nil, "who may read the metrics has nothing to do with what they say"},
	"internal/probe": {
		[]string{"api/v1alpha1", "internal/review"}, "the probe must be what the review takes for one",
	},
	"webhooks": {
		[]string{
			"api/v1alpha1", "policy", "internal/review", "internal/record", "internal/denial", "internal/policystore",
			"internal/deadline",
		},
		"a handler decodes, judges, records and answers; rules and listeners are not its business",
	},
	"": {
		[]string{
			"api/v1alpha1", "webhooks", "internal/certificates", "internal/cli", "internal/cluster", "internal/denial",
			"internal/delegatedauth", "internal/policystore", "internal/probe", "internal/record", "internal/server",
		},
		"main wires the parts and does nothing itself",
	},
}

// bans are packages and the modules that they must not bring with them, not even through others.
var bans = []struct {
	packages, modules []string
	why               string
}{
	{
		[]string{
			"policy", "internal/cli", "internal/review", "internal/record", "internal/recordlog", "internal/manifest",
			"internal/fixture",
		},
		[]string{
			"k8s.io/client-go", "sigs.k8s.io/controller-runtime", "go.uber.org/zap", "github.com/go-logr/zapr",
			"github.com/prometheus/client_golang", "k8s.io/apiserver",
		},
		"judging a write needs no cluster, no log and no metrics: the same code runs in tests, commands and e2e",
	},
	{
		[]string{""},
		[]string{"google.golang.org/grpc", "go.opentelemetry.io/otel/sdk", "github.com/google/cel-go"},
		"each replica has what it imports in memory, and never calls these",
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

func listPackages(t *testing.T) []*goPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-pgo=off", "-json=Dir,ImportPath,Name,GoFiles,Imports,Deps", "./...").Output()
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
			t.Errorf("%s: say in architecture_test.go what it may import, and why", p.ImportPath)
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

// TestFolders finds what some command has left in the tree.
func TestFolders(t *testing.T) {
	folders := []string{"api", "bin", "charts", "config", "docs", "e2e", "internal", "policy", "tools", "webhooks"}
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if name := entry.Name(); entry.IsDir() && !strings.HasPrefix(name, ".") && !slices.Contains(folders, name) {
			t.Errorf("%q: a folder of this name is not part of the project", name)
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
				if v, ok := spec.(*ast.ValueSpec); ok && d.Tok == token.VAR && !isConstant(v) {
					t.Errorf("%s: %s is a variable of the package; make it a constant, or pass it", path, v.Names[0].Name)
				}
			}
		}
	}
}

// isConstant reports whether a variable is one in name only: an assertion that a type implements an interface, or an error.
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
		return !ok || pkg.Name != "errors" || function.Sel.Name != "New"
	})
}
