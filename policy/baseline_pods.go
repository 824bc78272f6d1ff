package policy

import (
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/policy/object"
)

// checkOwnedByNode checks that a created pod is owned by the kubelet's Node alone.
func checkOwnedByNode(r *Request, owners []metav1.OwnerReference) []Violation {
	const at = "metadata.ownerReferences"
	if len(owners) != 1 || !ownedByNode(&owners[0], r.NodeName) {
		return onlyViolation(at, "must be owned by this Node alone")
	}
	owner := &owners[0]
	if owner.Controller == nil || !*owner.Controller {
		return onlyViolation(at, "must have this Node as controller")
	}
	if owner.BlockOwnerDeletion != nil && *owner.BlockOwnerDeletion {
		return onlyViolation(at, "must not block the deletion of the Node")
	}
	node, found, err := r.node(r.NodeName)
	switch {
	case err != nil:
		return onlyViolation(at, "must have the UID of the Node, but the Node could not be looked up")
	case !found:
		return onlyViolation(at, "must be owned by a Node that exists")
	case owner.UID != node.UID:
		return onlyViolation(at, "must have the UID of the Node")
	}
	return nil
}

// changedClaimStatuses has a violation for each of the statuses that the scheduler and the resource claim controller keep.
func changedClaimStatuses(old, updated *object.PodStatus) []Violation {
	var vs []Violation
	refuse := func(field string) {
		vs = append(vs, Violation{Field: "status." + field, Detail: "must not change " + field})
	}
	if !equality.Semantic.DeepEqual(old.ResourceClaimStatuses, updated.ResourceClaimStatuses) {
		refuse("resourceClaimStatuses")
	}
	if !equality.Semantic.DeepEqual(old.ExtendedResourceClaimStatus, updated.ExtendedResourceClaimStatus) {
		refuse("extendedResourceClaimStatus")
	}
	if !equality.Semantic.DeepEqual(
		old.NodeAllocatableResourceClaimStatuses, updated.NodeAllocatableResourceClaimStatuses) {
		refuse("nodeAllocatableResourceClaimStatuses")
	}
	return vs
}
