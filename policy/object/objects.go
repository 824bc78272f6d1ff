// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package object

import (
	"errors"

	"github.com/go-json-experiment/json"
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

// Container is a container or a container status, as far as rules read it.
type Container struct {
	Name            string
	SecurityContext *SecurityContext
	state           jsontext.Value // of a container status, as it was sent
}

// Runs reports whether a container status says that the container runs.
func (c *Container) Runs() bool {
	running := memberOf(c.state, "running")
	return running != nil && running.Kind() != jsontext.KindNull
}

// usualContainers is the initial capacity for containers.
const usualContainers = 8

var errNoContainers = errors.New("must be a list of containers")

// readContainers reads a list of containers or container statuses.
func readContainers(list jsontext.Value, into *[]Container) error {
	c := cursor{text: list}
	switch c.kind() {
	case jsontext.KindNull:
		return nil
	case jsontext.KindBeginArray:
	default:
		return errNoContainers
	}
	*into = make([]Container, 0, usualContainers)
	for c.enter(); c.more(); {
		var container Container
		if err := container.read(&c); err != nil {
			return err
		}
		*into = append(*into, container)
	}
	return nil
}

func (c *Container) read(in *cursor) (err error) {
	switch in.kind() {
	case jsontext.KindNull:
		in.skip()
		return nil
	case jsontext.KindBeginObject:
	default:
		return errNoContainers
	}
	for in.enter(); in.more() && err == nil; {
		switch string(in.name()) {
		case "name":
			c.Name, err = readText(in.value())
		case "securityContext":
			err = json.Unmarshal(in.value(), &c.SecurityContext)
		case "state":
			if c.state = in.value(); c.state.Kind() != jsontext.KindBeginObject && c.state.Kind() != jsontext.KindNull {
				err = errNoContainers
			}
		default:
			in.skip()
		}
	}
	return err
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
