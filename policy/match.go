package policy

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
)

// matcher says which kubelets a policy restricts.
type matcher struct {
	names    patterns // none: every name
	excluded patterns
	selector labels.Selector // nil: labels do not matter
}

func compileMatch(m *v1alpha1.Match, at *field.Path) (matcher, field.ErrorList) {
	var c matcher
	if m == nil {
		return c, nil
	}
	var errs, bad field.ErrorList
	c.names, bad = compilePatterns(m.NodeNames, 256, at.Child("nodeNames"))
	errs = append(errs, bad...)
	c.excluded, bad = compilePatterns(m.ExcludeNodeNames, 256, at.Child("excludeNodeNames"))
	errs = append(errs, bad...)
	if m.NodeSelector != nil {
		selector, err := metav1.LabelSelectorAsSelector(m.NodeSelector)
		if err != nil {
			errs = append(errs, field.Invalid(at.Child("nodeSelector"), metav1.FormatLabelSelector(m.NodeSelector), err.Error()))
		}
		c.selector = selector
	}
	return c, errs
}

// matchName needs nothing but the identity.
func (m *matcher) matchName(node string) bool {
	return (len(m.names) == 0 || m.names.match(node)) && !m.excluded.match(node)
}

// matchLabels needs the Node's labels: of the stored Node, or at registration of the submitted one. A Node that does not exist
// has no labels.
func (m *matcher) matchLabels(r *Request) (bool, error) {
	if m.selector == nil {
		return true, nil
	}
	set, err := nodeLabelsOf(r)
	return err == nil && m.selector.Matches(labels.Set(set)), err
}

// nodeLabelsOf returns the labels of the kubelet's own Node. A write to that Node carries them, others need a look-up.
func nodeLabelsOf(r *Request) (map[string]string, error) {
	ownNode := r.Resource == "nodes" && (r.Name == r.NodeName || r.Name == "")
	switch {
	case ownNode && r.OldNode != nil:
		return r.OldNode.Labels, nil
	case ownNode && r.Node != nil:
		return r.Node.Labels, nil
	}
	node, found, err := r.node(r.NodeName)
	if err != nil || !found {
		return nil, err
	}
	return node.Labels, nil
}
