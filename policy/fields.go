package policy

import "github.com/go-json-experiment/json/jsontext"

// Which parts of objects have a field, and how rules look at it.

func (m *Metadata) field(name string) any {
	switch name {
	case "name":
		return &m.Name
	case "generateName":
		return &m.GenerateName
	case "namespace":
		return &m.Namespace
	case "uid":
		return &m.UID
	case "labels":
		return &m.Labels
	case "annotations":
		return &m.Annotations
	case "finalizers":
		return &m.Finalizers
	case "ownerReferences":
		return &m.OwnerReferences
	case "deletionTimestamp":
		return &m.DeletionTimestamp
	}
	return nil
}

func (n *Node) field(section, name string) any {
	switch section {
	case "metadata":
		return n.Metadata.field(name)
	case "spec":
		return n.Spec.field(name)
	case "status":
		return n.Status.field(name)
	}
	return nil
}

func (s *NodeSpec) field(name string) any {
	switch name {
	case "taints":
		return &s.Taints
	case "unschedulable":
		return &s.Unschedulable
	case "podCIDR":
		return &s.PodCIDR
	case "podCIDRs":
		return &s.PodCIDRs
	case "providerID":
		return &s.ProviderID
	}
	return nil
}

func (s *NodeStatus) field(name string) any {
	switch name {
	case "capacity":
		return &s.Capacity
	case "allocatable":
		return &s.Allocatable
	case "phase":
		return &s.Phase
	case "conditions":
		return &s.Conditions
	case "addresses":
		return &s.Addresses
	case "daemonEndpoints":
		return &s.DaemonEndpoints
	case "nodeInfo":
		return &s.NodeInfo
	case "images":
		return &s.Images
	case "volumesInUse":
		return &s.VolumesInUse
	case "volumesAttached":
		return &s.VolumesAttached
	case "config":
		return &s.Config
	case "declaredFeatures":
		return &s.DeclaredFeatures
	}
	return nil
}

func (*Node) compared(section, name string) bool {
	if section != "status" {
		return false
	}
	switch name {
	case "images", "conditions", "addresses", "volumesInUse", "volumesAttached", "declaredFeatures":
		return true
	}
	return false
}

func (n *Node) keep(section, name string, value jsontext.Value) {
	if section != "spec" {
		return
	}
	if n.Spec.Rest == nil {
		n.Spec.Rest = map[string]jsontext.Value{}
	}
	n.Spec.Rest[name] = value
}

func (p *Pod) field(section, name string) any {
	switch section {
	case "metadata":
		return p.Metadata.field(name)
	case "spec":
		return p.Spec.field(name)
	case "status":
		return p.Status.field(name)
	}
	return nil
}

func (s *PodSpec) field(name string) any {
	switch name {
	case "nodeName":
		return &s.NodeName
	case "hostNetwork":
		return &s.HostNetwork
	case "hostPID":
		return &s.HostPID
	case "hostIPC":
		return &s.HostIPC
	case "priorityClassName":
		return &s.PriorityClassName
	case "containers":
		return &s.Containers
	case "initContainers":
		return &s.InitContainers
	case "ephemeralContainers":
		return &s.EphemeralContainers
	case "volumes":
		return &s.Volumes
	case "affinity":
		return &s.Affinity
	case "topologySpreadConstraints":
		return &s.TopologySpreadConstraints
	case "schedulingGroup":
		return &s.SchedulingGroup
	}
	return nil
}

func (s *PodStatus) field(name string) any {
	switch name {
	case "phase":
		return &s.Phase
	case "conditions":
		return &s.Conditions
	case "hostIP":
		return &s.HostIP
	case "hostIPs":
		return &s.HostIPs
	case "podIP":
		return &s.PodIP
	case "podIPs":
		return &s.PodIPs
	case "containerStatuses":
		return &s.ContainerStatuses
	case "initContainerStatuses":
		return &s.InitContainerStatuses
	case "ephemeralContainerStatuses":
		return &s.EphemeralContainerStatuses
	case "resourceClaimStatuses":
		return &s.ResourceClaimStatuses
	case "extendedResourceClaimStatus":
		return &s.ExtendedResourceClaimStatus
	case "nodeAllocatableResourceClaimStatuses":
		return &s.NodeAllocatableResourceClaimStatuses
	}
	return nil
}

func (*Pod) compared(section, name string) bool {
	return section == "status" && (name == "conditions" || name == "containerStatuses")
}

func (*Pod) keep(string, string, jsontext.Value) {}
