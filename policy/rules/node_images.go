// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"slices"
	"strconv"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/expression"
	"noderestriction.plus/policy/object"
	"noderestriction.plus/policy/pattern"
)

func nodeImages() policy.Rule {
	return policy.Rule{
		ID: "node-images",
		Doc: policy.Doc{
			Title: "A kubelet may report only so many images, from allowed repositories",
			Text: "The scheduler prefers a node that has the image of a pod already: a made-up list draws pods, and a " +
				"long one bloats every Node in etcd and in each watcher.",
			Kubelet: "A kubelet reports at most nodeStatusMaxImages images, 50 unless changed, with at most 5 names " +
				"each.",
			Attack: "curl -X PATCH -H 'Content-Type: application/merge-patch+json' .../api/v1/nodes/$NODE/status -d " +
				`'{"status":{"images":[...]}}'`,
			Spec:   "spec.nodes.images",
			Fields: []string{"status.images"},
			Since:  "v0.1.0",
			Source: "kubernetes v1.37.2 pkg/kubelet/nodestatus/setters.go (Images), " +
				"pkg/scheduler/framework/plugins/imagelocality",
		},
		Targets: nodeStatusWrites(),
		Agents:  sameForAgents(nodeStatusWrites()),
		Compile: compileNodeImages,
		CEL:     exactly(expressNodeImages),
	}
}

func compileNodeImages(spec *v1alpha1.NodeRestrictionPolicySpec, at *field.Path) (policy.Check, field.ErrorList) {
	cfg := spec.Nodes.Images
	if cfg == nil {
		return nil, nil
	}
	at = at.Child("nodes", "images")
	if forAgents(spec) {
		return frozen("status", "images"), refuseForAgents(spec, at, setting{"maxCount", cfg.MaxCount != 0},
			setting{"allowedRepositories", cfg.AllowedRepositories != nil})
	}
	allowed, errs := pattern.CompileAll(cfg.AllowedRepositories, 64, at.Child("allowedRepositories"))
	limit := int(cfg.MaxCount)
	switch {
	case limit == 0:
		limit = defaultImages
	case limit < 0 || limit > 10000:
		errs = append(errs, field.Invalid(at.Child("maxCount"), limit, "must be between 1 and 10000"))
	}
	return func(r *policy.Request) []policy.Violation {
		old, updated := r.Node().Images().Change()
		var vs []policy.Violation
		if len(updated) > limit && len(updated) > len(old) {
			vs = append(vs, policy.Violation{
				Field: "status.images", Detail: "must not report " + strconv.Itoa(len(updated)) + " images",
			})
		}
		names := newNames(old, updated)
		if len(allowed) > 0 {
			refused := slices.DeleteFunc(slices.Clone(names), allowed.Match)
			slices.Sort(refused)
			vs = appendViolation(vs, "status.images", "must not report", slices.Compact(refused))
		}
		if len(names) > limit*maxImageNames {
			vs = append(vs, policy.Violation{
				Field: "status.images", Detail: "must not report " + strconv.Itoa(len(names)) + " new names of images",
			})
		}
		return vs
	}, errs
}

const (
	defaultImages = 50 // nodeStatusMaxImages of a kubelet
	maxImageNames = 5  // names that a kubelet reports for an image
)

// newNames returns the names of the updated images that no old image has. A name that several images have counts several times, which no
// kubelet reports.
func newNames(old, updated []object.Image) []string {
	before := map[string]bool{}
	for _, name := range imageNames(old) {
		before[name] = true
	}
	return without(imageNames(updated), func(name string) bool { return before[name] })
}

func imageNames(images []object.Image) []string {
	var names []string
	for _, image := range images {
		names = append(names, image.Names...)
	}
	return names
}

func expressNodeImages(spec *v1alpha1.NodeRestrictionPolicySpec, on *expression.Scope) []expression.Expression {
	cfg := spec.Nodes.Images
	limit := int(cfg.MaxCount)
	if limit == 0 {
		limit = defaultImages
	}
	old, images := on.Both("status.images", "[]")
	changed := on.Define("changedImages", expression.If(
		expression.Or(on.Longer(maxComparedImages, old, images), expression.Same(old, images)), "[]",
		expression.Filter(images, "e", expression.Absent("e", old))))
	// Each name of a changed image is searched for in all old images. Of a longer list, no image is among the changed ones.
	costly := expression.And(expression.Changed(old, images), on.Longer(maxComparedImages, old, images))
	tooMany := expression.False
	if old != expression.None {
		pairs := maxImagePairs
		if on.Inline {
			pairs = maxInlineImagePairs
		}
		if on.Inline && len(cfg.AllowedRepositories) > 0 {
			pairs /= 2 // each of two expressions searches for the names
		}
		tooMany = "size(" + changed + ") * size(" + old + ") > " + strconv.Itoa(pairs)
		costly = expression.Or(costly, tooMany)
	}
	isNew := expression.True
	if old != expression.None {
		isNew = "!" + old + ".exists(o, name in " + expression.Elements("o", "names") + ")"
	}
	names := on.Define("newImageNames", expression.If(tooMany, "[]", changed+".map(e, "+
		expression.Filter(expression.Elements("e", "names"), "name", isNew)+")"))
	count := when("status.images", "must not report more images than "+strconv.Itoa(limit),
		expression.And(larger(images, limit), "size("+images+") > size("+old+")"))
	expressions := []expression.Expression{
		count,
		when("status.images", "must not report so many new names of images",
			on.Bounded(costly, names+".map(l, size(l)).sum() > "+strconv.Itoa(limit*maxImageNames))),
	}
	if len(cfg.AllowedRepositories) == 0 {
		return expressions
	}
	refused := "l.exists(name, " + expression.Not(expression.Matches("name", cfg.AllowedRepositories)) + ")"
	return append(expressions, when("status.images", "must not report an image of another repository", expression.Exists(names, "l", refused)))
}

// The bounds of the images that expressions compare, as the names of one image are compared with those of another. In match conditions,
// where all rules share a budget, 20 new images on a Node with 50 are compared, or half of them if repositories are listed.
const (
	maxComparedImages   = 256
	maxImagePairs       = 8192
	maxInlineImagePairs = 1024
)
