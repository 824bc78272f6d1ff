// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

const (
	// refreshInterval is the interval in which files follow a Secret. A kubelet takes up to a minute and a half.
	refreshInterval = 2 * time.Second
	// accountPath is the directory of the service account token in containers.
	accountPath = "/var/run/secrets/kubernetes.io/serviceaccount"
)

// volumes are the volumes of a pod as directories, which the node fills with the permissions of its kubelet.
type volumes struct {
	replica    *Replica
	kubeconfig string
	content    map[string]map[string][]byte // content of the directories, by volume and file
	refreshed  time.Time
	token      map[string]tokenSince
}

// tokenSince is a token and the time of its request.
type tokenSince struct {
	token []byte
	since time.Time
}

// mountVolumes creates the directories. It fails while the source of a volume is missing.
func mountVolumes(ctx context.Context, r *Replica) (*volumes, error) {
	v := &volumes{
		replica: r, content: map[string]map[string][]byte{}, token: map[string]tokenSince{},
		kubeconfig: filepath.Join(r.dir, "kubeconfig"),
	}
	if err := v.fill(ctx); err != nil {
		return nil, err
	}
	return v, v.writeKubeconfig()
}

// refresh updates the directories if the refresh interval has passed.
func (v *volumes) refresh(ctx context.Context) error {
	if time.Since(v.refreshed) < refreshInterval {
		return nil
	}
	v.refreshed = time.Now()
	return v.fill(ctx)
}

func (v *volumes) fill(ctx context.Context) error {
	for i := range v.replica.pod.Spec.Volumes {
		volume := &v.replica.pod.Spec.Volumes[i]
		files, err := v.read(ctx, volume)
		if err != nil {
			return fmt.Errorf("volume %s: %w", volume.Name, err)
		}
		if old, found := v.content[volume.Name]; found && maps.EqualFunc(old, files, slices.Equal) {
			continue
		}
		if err := writeFiles(v.replica.VolumeDir(volume.Name), files); err != nil {
			return err
		}
		v.content[volume.Name] = files
	}
	return nil
}

// read returns the content of a volume.
func (v *volumes) read(ctx context.Context, volume *corev1.Volume) (map[string][]byte, error) {
	switch {
	case volume.Secret != nil:
		return v.readSecret(ctx, volume.Secret.SecretName, volume.Secret.Items)
	case volume.ConfigMap != nil:
		return v.readConfigMap(ctx, volume.ConfigMap.Name, volume.ConfigMap.Items)
	case volume.EmptyDir != nil:
		return map[string][]byte{}, nil
	case volume.Projected != nil:
		return v.readProjected(ctx, volume.Projected)
	}
	return nil, errors.New("unsupported volume")
}

func (v *volumes) readSecret(ctx context.Context, name string, items []corev1.KeyToPath) (map[string][]byte, error) {
	secret, err := v.replica.client().CoreV1().Secrets(Namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return pick(secret.Data, items)
}

func (v *volumes) readConfigMap(ctx context.Context, name string, items []corev1.KeyToPath) (map[string][]byte, error) {
	stored, err := v.replica.client().CoreV1().ConfigMaps(Namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	data := map[string][]byte{}
	for key, text := range stored.Data {
		data[key] = []byte(text)
	}
	return pick(data, items)
}

func pick(data map[string][]byte, items []corev1.KeyToPath) (map[string][]byte, error) {
	if len(items) == 0 {
		return data, nil
	}
	picked := map[string][]byte{}
	for _, item := range items {
		value, found := data[item.Key]
		if !found {
			return nil, fmt.Errorf("no key %q", item.Key)
		}
		picked[item.Path] = value
	}
	return picked, nil
}

func (v *volumes) readProjected(ctx context.Context, p *corev1.ProjectedVolumeSource) (map[string][]byte, error) {
	all := map[string][]byte{}
	for _, source := range p.Sources {
		var files map[string][]byte
		var err error
		switch {
		case source.ServiceAccountToken != nil:
			files = map[string][]byte{}
			files[source.ServiceAccountToken.Path], err = v.readToken(ctx, source.ServiceAccountToken)
		case source.ConfigMap != nil:
			files, err = v.readConfigMap(ctx, source.ConfigMap.Name, source.ConfigMap.Items)
		case source.DownwardAPI != nil:
			files = map[string][]byte{"namespace": []byte(Namespace)}
		default:
			err = errors.New("unsupported source")
		}
		if err != nil {
			return nil, err
		}
		maps.Copy(all, files)
	}
	return all, nil
}

// readToken requests a token of the pod's service account that is bound to the pod, and a new one after four fifths of its lifetime.
func (v *volumes) readToken(ctx context.Context, p *corev1.ServiceAccountTokenProjection) ([]byte, error) {
	lifetime := time.Duration(*p.ExpirationSeconds) * time.Second
	if t, found := v.token[p.Path]; found && time.Since(t.since) < lifetime*4/5 {
		return t.token, nil
	}
	pod := v.replica.pod
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: p.ExpirationSeconds,
		BoundObjectRef: &authenticationv1.BoundObjectReference{
			Kind: "Pod", APIVersion: "v1", Name: pod.Name, UID: pod.UID,
		},
	}}
	if p.Audience != "" {
		request.Spec.Audiences = []string{p.Audience}
	}
	answer, err := v.replica.client().CoreV1().ServiceAccounts(Namespace).
		CreateToken(ctx, pod.Spec.ServiceAccountName, request, metav1.CreateOptions{})
	if err != nil {
		return nil, err
	}
	v.token[p.Path] = tokenSince{token: []byte(answer.Status.Token), since: time.Now()}
	return v.token[p.Path].token, nil
}

// replacePaths replaces paths in the container with paths of this machine.
func (v *volumes) replacePaths(args []string) []string {
	replaced := slices.Clone(args)
	for i := range replaced {
		for _, mount := range v.replica.container().VolumeMounts {
			replaced[i] = strings.Replace(replaced[i], "="+mount.MountPath, "="+v.replica.VolumeDir(mount.Name), 1)
		}
	}
	return replaced
}

// writeKubeconfig writes the configuration that a container in a cluster finds at its service account.
func (v *volumes) writeKubeconfig() error {
	for _, mount := range v.replica.container().VolumeMounts {
		if mount.MountPath != accountPath {
			continue
		}
		dir := v.replica.VolumeDir(mount.Name)
		return clientcmd.WriteToFile(api.Config{
			Clusters: map[string]*api.Cluster{Name: {
				Server: v.replica.node.cluster.ControlPlane.Host, CertificateAuthority: filepath.Join(dir, "ca.crt"),
			}},
			AuthInfos:      map[string]*api.AuthInfo{Name: {TokenFile: filepath.Join(dir, "token")}},
			Contexts:       map[string]*api.Context{Name: {Cluster: Name, AuthInfo: Name}},
			CurrentContext: Name,
		}, v.kubeconfig)
	}
	return errors.New("the container has no token")
}

// writeFiles fills a directory as kubelets do: one symbolic link changes all files atomically.
func writeFiles(dir string, files map[string][]byte) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	now, err := os.MkdirTemp(dir, "..")
	if err != nil {
		return err
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(now, name), data, 0o640); err != nil {
			return err
		}
		err := os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name))
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	before, _ := os.Readlink(filepath.Join(dir, "..data")) // not the first time
	next := filepath.Join(dir, "..data_tmp")
	if err := os.Symlink(filepath.Base(now), next); err != nil {
		return err
	}
	if err := os.Rename(next, filepath.Join(dir, "..data")); err != nil {
		return err
	}
	if before != "" {
		return os.RemoveAll(filepath.Join(dir, before))
	}
	return nil
}
