// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	storagev1client "k8s.io/client-go/kubernetes/typed/storage/v1"
	"k8s.io/client-go/rest"

	"noderestriction.plus/internal/review"
)

// timeout bounds one probe of all webhooks.
const timeout = 10 * time.Second

// registration is the webhook to which the Node of the probe goes. The others get a CSINode.
const registration = "registration"

// Webhooks returns the names of the webhooks that can be probed, without their common suffix. The webhooks others and agents send something
// only if a value of the chart says so.
func Webhooks() []string {
	return []string{"gate", registration, "status", "others", "agents", "policies"}
}

// DefaultWebhooks returns the webhooks that always exist.
func DefaultWebhooks() []string { return []string{"gate", registration, "status", "policies"} }

// ValidateWebhooks returns an error for a webhook that cannot be probed, and for none at all.
func ValidateWebhooks(names []string) error {
	if len(names) == 0 {
		return fmt.Errorf("must name at least one of %s", strings.Join(Webhooks(), ", "))
	}
	for _, name := range names {
		if !slices.Contains(Webhooks(), name) {
			return fmt.Errorf("must be some of %s, not %q", strings.Join(Webhooks(), ", "), name)
		}
	}
	return nil
}

// Result is the result of the probe's write.
type Result string

// The results.
const (
	Denied  Result = "denied"  // as it should be
	Allowed Result = "allowed" // kubelets are not restricted
	Failed  Result = "failed"  // it is unknown
)

// Asker makes the probe's writes.
type Asker struct {
	webhooks []string
	nodes    corev1client.NodeInterface
	csiNodes storagev1client.CSINodeInterface
}

// NewAsker returns an Asker for some [Webhooks]. It impersonates a kubelet with the given configuration, whose user needs permission
// to do so.
func NewAsker(config *rest.Config, webhooks []string) (*Asker, error) {
	kubelet := review.UserOf(review.ProbeNode)
	as := rest.CopyConfig(config)
	// Only system:nodes is requested; the API server adds system:authenticated.
	as.Impersonate = rest.ImpersonationConfig{UserName: kubelet.Username, Groups: kubelet.Groups[:1]}
	core, err := corev1client.NewForConfig(as)
	if err != nil {
		return nil, err
	}
	storage, err := storagev1client.NewForConfig(as)
	if err != nil {
		return nil, err
	}
	return &Asker{webhooks: webhooks, nodes: core.Nodes(), csiNodes: storage.CSINodes()}, nil
}

// Answers are the results of one probe of all webhooks.
type Answers struct {
	// Result is the worst one, and Detail a sentence that explains it.
	Result Result
	Detail string
	// ByWebhook has the result of each webhook.
	ByWebhook map[string]Result
}

// Ask sends the API server, as dry runs, a write for each webhook that this webhook must deny. It takes at most 10 s.
func (a *Asker) Ask(ctx context.Context) Answers {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	answers := Answers{ByWebhook: map[string]Result{}}
	var allowed, failed []string
	var cause error
	for _, webhook := range a.webhooks {
		result, err := a.ask(ctx, webhook)
		answers.ByWebhook[webhook] = result
		switch result {
		case Allowed:
			allowed = append(allowed, webhook)
		case Failed:
			failed = append(failed, webhook)
			cause = cmp.Or(cause, err)
		}
	}
	switch {
	case len(allowed) > 0:
		answers.Result = Allowed
		answers.Detail = fmt.Sprintf("the API server allowed a kubelet's write that the webhook denies; it did not call %s, or could not "+
			"reach it: check the ValidatingWebhookConfiguration", strings.Join(allowed, ", "))
	case len(failed) > 0 && ctx.Err() != nil:
		answers.Result, answers.Detail = Failed, "the API server did not answer in time"
	case len(failed) > 0:
		answers.Result = Failed
		answers.Detail = fmt.Sprintf("it is unknown whether kubelets are restricted by %s: %v", strings.Join(failed, ", "), cause)
	default:
		answers.Result = Denied
		answers.Detail = "the API server calls the webhook, and the write is denied: " + strings.Join(a.webhooks, ", ")
	}
	return answers
}

// deniedBy reports whether this webhook denied the probe. Its name may have a suffix, as in a manifest of the API server.
func deniedBy(webhook string, err error) bool {
	text := err.Error()
	return strings.Contains(text, `admission webhook "`+webhook+`.noderestriction.plus`) && strings.Contains(text, review.ProbeDenied)
}

// ask makes the write that goes to a webhook and to no other. It returns the error of a write that failed.
func (a *Asker) ask(ctx context.Context, webhook string) (Result, error) {
	err := a.write(ctx, webhook)
	switch {
	case err == nil:
		return Allowed, nil
	case apierrors.IsForbidden(err) && deniedBy(webhook, err):
		return Denied, nil
	}
	return Failed, err
}

func (a *Asker) write(ctx context.Context, webhook string) error {
	options := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
	meta := metav1.ObjectMeta{Name: review.ProbeNode}
	if webhook == registration {
		_, err := a.nodes.Create(ctx, &corev1.Node{ObjectMeta: meta}, options)
		return err
	}
	meta.Annotations = map[string]string{review.ProbeAnnotation: webhook}
	_, err := a.csiNodes.Create(ctx, &storagev1.CSINode{
		ObjectMeta: meta, Spec: storagev1.CSINodeSpec{Drivers: []storagev1.CSINodeDriver{}},
	}, options)
	return err
}
