// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package object

import (
	"github.com/go-json-experiment/json/jsontext"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// The types of parts, with the fields that rules read. Other fields are skipped when a part is decoded.

// Metadata is the metadata of an object, as far as rules read it.
type Metadata struct {
	Name              string                  `json:"name"`
	GenerateName      string                  `json:"generateName"`
	Namespace         string                  `json:"namespace"`
	UID               types.UID               `json:"uid"`
	Labels            map[string]string       `json:"labels"`
	Annotations       map[string]string       `json:"annotations"`
	Finalizers        []string                `json:"finalizers"`
	OwnerReferences   []metav1.OwnerReference `json:"ownerReferences"`
	DeletionTimestamp *metav1.Time            `json:"deletionTimestamp"`
}

// DaemonEndpoints is a Node's status.daemonEndpoints.
type DaemonEndpoints struct {
	KubeletEndpoint struct {
		Port int32 `json:"Port"`
	} `json:"kubeletEndpoint"`
}

// NodeInfo is a Node's status.nodeInfo, as far as rules read it.
type NodeInfo struct {
	KernelVersion           string `json:"kernelVersion"`
	OSImage                 string `json:"osImage"`
	ContainerRuntimeVersion string `json:"containerRuntimeVersion"`
	KubeletVersion          string `json:"kubeletVersion"`
	OperatingSystem         string `json:"operatingSystem"`
	Architecture            string `json:"architecture"`
	MachineID               string `json:"machineID"`
	SystemUUID              string `json:"systemUUID"`
}

// Image is an entry of a Node's status.images.
type Image struct {
	Names []string `json:"names"`
}

// Container is a container of a pod, as far as rules read it.
type Container struct {
	Name            string           `json:"name"`
	SecurityContext *SecurityContext `json:"securityContext"`
}

// ContainerStatus is a status of a container. Only its name is decoded, because rules seldom read more.
type ContainerStatus struct {
	Name  string
	value jsontext.Value // the whole status, as it was sent
}

// Runs reports whether the status says that the container runs.
func (s *ContainerStatus) Runs() bool {
	running := memberOf(memberOf(s.value, "state"), "running")
	return running != nil && running.Kind() != jsontext.KindNull
}

// readStatuses reads the elements of a list of container statuses.
func readStatuses(list []jsontext.Value, into *[]ContainerStatus) error {
	*into = make([]ContainerStatus, len(list))
	for i, value := range list {
		name, err := nameIn(value, "name")
		if err != nil {
			return err
		}
		(*into)[i] = ContainerStatus{name, value}
	}
	return nil
}

// SecurityContext is the security context of a container, as far as rules read it.
type SecurityContext struct {
	Privileged bool `json:"privileged"`
}

// Volume is a volume of a pod, as far as rules read it.
type Volume struct {
	Name     string `json:"name"`
	HostPath *struct {
		Path string `json:"path"`
	} `json:"hostPath"`
	Ephemeral jsontext.Value `json:"ephemeral"`
	CSI       jsontext.Value `json:"csi"`
	Glusterfs jsontext.Value `json:"glusterfs"`
	Projected *Projection    `json:"projected"`
}

// Projection is a projected volume, as far as rules read it.
type Projection struct {
	Sources []ProjectionSource `json:"sources"`
}

// ProjectionSource is a source of a projected volume, as far as rules read it.
type ProjectionSource struct {
	ServiceAccountToken jsontext.Value `json:"serviceAccountToken"`
	ClusterTrustBundle  jsontext.Value `json:"clusterTrustBundle"`
	PodCertificate      jsontext.Value `json:"podCertificate"`
}

// ReadinessGate is a readiness gate of a pod.
type ReadinessGate struct {
	ConditionType string `json:"conditionType"`
}

// Affinity is the part of a pod's affinity that affects other pods.
type Affinity struct {
	PodAffinity     jsontext.Value `json:"podAffinity"`
	PodAntiAffinity jsontext.Value `json:"podAntiAffinity"`
}

// ClaimStatuses is a pod's status.nodeAllocatableResourceClaimStatuses. A quantity in it that is expensive to parse is replaced by a
// number that stands for its text.
type ClaimStatuses []corev1.NodeAllocatableResourceClaimStatus

// IP is an entry of podIPs and hostIPs.
type IP struct {
	IP string `json:"ip"`
}

// DeleteOptions are the options of a deletion, as far as rules read them.
type DeleteOptions struct {
	Preconditions *struct {
		UID *types.UID `json:"uid"`
	} `json:"preconditions"`
}
