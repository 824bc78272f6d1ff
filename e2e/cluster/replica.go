// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"noderestriction.plus/e2e/process"
	"noderestriction.plus/e2e/product"
)

const (
	replicaInterval = 100 * time.Millisecond
	// restartBackoff is the time until an exited container is restarted. A kubelet starts with 10 s.
	restartBackoff = 2 * time.Second
)

// Replica is a pod of the product on a node.
type Replica struct {
	Pod     string // name
	Version string // tag of its image

	node *Node
	pod  *corev1.Pod // as the node first saw it
	dir  string
	ip   string

	mu           sync.Mutex
	volumes      *volumes
	process      *process.Process  // nil: not running
	ports        map[string]string // address of the process, by name of the container's port
	ready        bool
	restarts     int
	startedAt    time.Time
	terminating  bool
	grace        time.Duration
	ended        bool // will not be restarted
	failed       bool // ended with an error
	problem      string
	done         chan struct{}
	reported     string // last reported status
	readyChanged time.Time
}

func newReplica(n *Node, pod *corev1.Pod) *Replica {
	r := &Replica{
		Pod: pod.Name, node: n, pod: pod, dir: filepath.Join(n.dir, pod.Name), ip: n.cluster.next(),
		done: make(chan struct{}), readyChanged: time.Now(),
	}
	_, r.Version = splitImage(r.container().Image)
	n.cluster.remember(r)
	return r
}

func (r *Replica) container() *corev1.Container { return &r.pod.Spec.Containers[0] }
func (r *Replica) client() kubernetes.Interface { return r.node.client }

// live runs the container until the pod is deleted or the context ends.
func (r *Replica) live(parent context.Context) {
	ctx, off := context.WithCancel(parent)
	defer close(r.done)
	defer off()
	go r.report(ctx)
	tick := time.NewTicker(replicaInterval)
	defer tick.Stop()
	next := time.Time{}
	for {
		select {
		case <-ctx.Done():
			r.kill()
			return
		case <-tick.C:
		}
		if terminating, grace := r.terminates(); terminating {
			r.end(ctx, grace)
			r.finish(ctx)
			return
		}
		if r.exited() {
			if r.pod.Spec.RestartPolicy == corev1.RestartPolicyNever {
				r.complete(ctx)
				return
			}
			next = time.Now().Add(restartBackoff)
		}
		if !r.running() && time.Now().After(next) {
			if err := r.start(ctx); err != nil {
				next = time.Now().Add(time.Second)
				r.set(func() { r.problem = err.Error() })
			}
		}
		if r.running() {
			_ = r.volumes.refresh(ctx) // it is retried
		}
	}
}

func (r *Replica) set(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
}

func (r *Replica) setReady(ready bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ready != ready {
		r.ready, r.readyChanged = ready, time.Now()
	}
}

// Ready returns the result of the pod's readiness probe.
func (r *Replica) Ready() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ready && !r.ended
}

// Restarts returns how often the container was restarted.
func (r *Replica) Restarts() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.restarts
}

func (r *Replica) running() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.process != nil
}

// exited reports, once, that the container has exited on its own.
func (r *Replica) exited() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.process == nil {
		return false
	}
	select {
	case <-r.process.Done():
		r.failed = r.process.Wait(context.Background()) != nil
		r.process, r.ready, r.readyChanged = nil, false, time.Now()
		r.restarts++
		return true
	default:
		return false
	}
}

// terminate terminates the pod, as a deletion does.
func (r *Replica) terminate(grace time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.terminating {
		r.terminating, r.grace = true, grace
	}
}

func (r *Replica) terminates() (bool, time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.terminating, r.grace
}

// start starts the container.
func (r *Replica) start(ctx context.Context) error {
	if r.volumes == nil {
		v, err := mountVolumes(ctx, r)
		if err != nil {
			return err
		}
		r.set(func() { r.volumes = v })
	}
	c := r.container()
	binary, err := r.node.cluster.program(c.Image)
	if err != nil {
		return err
	}
	ports, listen, err := r.listen()
	if err != nil {
		return err
	}
	env, err := r.environment()
	if err != nil {
		return err
	}
	args := append(r.volumes.replacePaths(append(c.Command, c.Args...)), "--kubeconfig="+r.volumes.kubeconfig)
	p, err := process.Start(process.Spec{
		Name: r.Pod, Path: binary, Dir: r.dir, Args: append(args, listen...), Env: env,
		LogFile: filepath.Join(r.dir, "stderr"), StdoutFile: r.stdout(),
	})
	if err != nil {
		return err
	}
	for _, port := range c.Ports {
		r.node.cluster.network.route(net.JoinHostPort(r.ip, strconv.Itoa(int(port.ContainerPort))), ports[port.Name])
	}
	r.set(func() { r.process, r.ports, r.startedAt, r.problem = p, ports, time.Now(), "" })
	go r.probeReadiness(ctx, p)
	go r.probeLiveness(ctx, p)
	return nil
}

func (r *Replica) stdout() string { return filepath.Join(r.dir, "stdout") }

// Records returns the records of all runs of the container.
func (r *Replica) Records() *product.Records { return r.node.cluster.records(r.stdout()) }

// listen returns loopback addresses for the container and the arguments with which it listens there. In the network of its node,
// which is the network of this machine, the container listens at its own ports.
func (r *Replica) listen() (ports map[string]string, args []string, err error) {
	if r.pod.Spec.HostNetwork {
		ports = map[string]string{}
		for _, port := range r.container().Ports {
			ports[port.Name] = fmt.Sprintf("127.0.0.1:%d", port.ContainerPort)
		}
		return ports, nil, nil
	}
	free, err := process.FreePorts(len(r.container().Ports))
	if err != nil {
		return nil, nil, err
	}
	ports = map[string]string{}
	for i, port := range r.container().Ports {
		address := fmt.Sprintf("127.0.0.1:%d", free[i])
		ports[port.Name] = address
		switch port.Name {
		case "webhook":
			args = append(args, "--bind-address=127.0.0.1", fmt.Sprintf("--port=%d", free[i]))
		case "metrics":
			args = append(args, "--metrics-bind-address="+address)
		case "health":
			args = append(args, "--health-probe-bind-address="+address)
		default:
			return nil, nil, fmt.Errorf("container port %q: unknown", port.Name)
		}
	}
	return ports, args, nil
}

// environment returns the environment of the container.
func (r *Replica) environment() ([]string, error) {
	var env []string
	for _, e := range r.container().Env {
		value := e.Value
		if from := e.ValueFrom; from != nil {
			if from.ResourceFieldRef == nil || from.ResourceFieldRef.Resource != "limits.memory" {
				return nil, fmt.Errorf("environment variable %s: unsupported source", e.Name)
			}
			value = strconv.FormatInt(r.container().Resources.Limits.Memory().Value(), 10)
		}
		env = append(env, e.Name+"="+value)
	}
	return env, nil
}

// end terminates the container as a kubelet does: preStop hook, SIGTERM and, after the grace period, SIGKILL.
func (r *Replica) end(ctx context.Context, grace time.Duration) {
	r.mu.Lock()
	p := r.process
	r.mu.Unlock()
	if p == nil {
		return
	}
	until := time.After(grace)
	if grace > 0 {
		if hook := r.container().Lifecycle; hook != nil && hook.PreStop != nil && hook.PreStop.Sleep != nil {
			select {
			case <-time.After(time.Duration(hook.PreStop.Sleep.Seconds) * time.Second):
			case <-until:
			case <-p.Done():
			case <-ctx.Done():
			}
		}
		_ = p.Signal(syscall.SIGTERM) // it may have exited
	}
	select {
	case <-p.Done():
	case <-until:
		_ = p.Kill()
	case <-ctx.Done():
		_ = p.Kill()
	}
	r.set(func() { r.process = nil })
	r.setReady(false)
	for _, port := range r.container().Ports {
		r.node.cluster.network.unroute(net.JoinHostPort(r.ip, strconv.Itoa(int(port.ContainerPort))))
	}
}

// kill kills the container together with its machine.
func (r *Replica) kill() {
	r.mu.Lock()
	p := r.process
	r.process = nil
	r.mu.Unlock()
	if p != nil {
		_ = p.Kill()
	}
}

// cut makes connections to the pod unanswered.
func (r *Replica) cut() {
	for _, port := range r.container().Ports {
		r.node.cluster.network.route(net.JoinHostPort(r.ip, strconv.Itoa(int(port.ContainerPort))), "")
	}
}

func (r *Replica) wait() { <-r.done }

// complete reports that a container that is not restarted has ended, until the pod is deleted.
func (r *Replica) complete(ctx context.Context) {
	r.set(func() { r.ended = true })
	tick := time.NewTicker(replicaInterval)
	defer tick.Stop()
	for {
		if terminating, _ := r.terminates(); terminating {
			r.finish(ctx)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// finish deletes the pod of an ended container from the API.
func (r *Replica) finish(ctx context.Context) {
	r.set(func() { r.ended = true })
	for ctx.Err() == nil {
		err := r.client().CoreV1().Pods(Namespace).Delete(ctx, r.Pod, metav1.DeleteOptions{
			GracePeriodSeconds: new(int64(0)), Preconditions: &metav1.Preconditions{UID: &r.pod.UID},
		})
		if err == nil || isGone(err) {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// Signal sends a signal to the container's process.
func (r *Replica) Signal(s os.Signal) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.process == nil {
		return errors.New("the container does not run")
	}
	return r.process.Signal(s)
}

// Log returns the path of the product's log.
func (r *Replica) Log() string { return filepath.Join(r.dir, "stderr") }

// VolumeDir returns the directory of a volume of the pod.
func (r *Replica) VolumeDir(volume string) string { return filepath.Join(r.dir, "volumes", volume) }
