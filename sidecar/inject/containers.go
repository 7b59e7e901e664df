package inject

import (
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	"github.com/heddle-mesh/heddle/sidecar/bootstrap"
)

// startSeconds is how long a new pod may wait for the mesh before kubelet
// restarts its proxy. Restarting doesn't help a control plane that is away,
// so it is long.
const startSeconds = 600

// initContainer prepares the pod's network, key and bootstrap. It is the only
// container with a capability, and ends before any other starts.
func initContainer(cfg Config) *corev1.Container {
	return &corev1.Container{
		Name:            heddlev1alpha1.ContainerInit,
		Image:           cfg.InitImage,
		ImagePullPolicy: cfg.PullPolicy,
		Env: []corev1.EnvVar{
			fieldEnv("POD_NAME", "metadata.name"),
			fieldEnv("POD_NAMESPACE", "metadata.namespace"),
			fieldEnv("POD_UID", "metadata.uid"),
			fieldEnv("SERVICE_ACCOUNT", "spec.serviceAccountName"),
			fieldEnv("POD_IP", "status.podIP"),
			fieldEnv("HOST_IP", "status.hostIP"),
		},
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{
				corev1.ResourceCPU:    resource.MustParse("10m"),
				corev1.ResourceMemory: resource.MustParse("16Mi"),
			},
			Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("128Mi")},
		},
		// Changing the network needs NET_ADMIN, and a process gets it only
		// as user 0. The group lets the proxy read the key.
		SecurityContext: &corev1.SecurityContext{
			RunAsUser:                ptr(int64(0)),
			RunAsGroup:               ptr(int64(heddlev1alpha1.ProxyUID)),
			RunAsNonRoot:             ptr(false),
			Privileged:               ptr(false),
			AllowPrivilegeEscalation: ptr(false),
			ReadOnlyRootFilesystem:   ptr(true),
			Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}, Add: []corev1.Capability{"NET_ADMIN"}},
			SeccompProfile:           &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		TerminationMessagePath:   corev1.TerminationMessagePathDefault,
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
		VolumeMounts:             mounts(),
	}
}

// proxyContainer is the stock Envoy as native sidecar: it starts before and
// ends after everything else in the pod.
func proxyContainer(cfg Config, opts options, grace *int64) *corev1.Container {
	c := &corev1.Container{
		Name:            heddlev1alpha1.ContainerProxy,
		Image:           cfg.ProxyImage,
		ImagePullPolicy: cfg.PullPolicy,
		RestartPolicy:   ptr(corev1.ContainerRestartPolicyAlways),
		Command:         []string{"envoy"},
		Args: []string{
			"-c", bootstrap.ConfigFile,
			"--log-level", or(opts.logLevel, cfg.LogLevel),
			"--concurrency", strconv.Itoa(cfg.Concurrency),
			"--drain-time-s", "45",
			"--drain-strategy", "immediate",
			"--disable-hot-restart",
		},
		Ports: []corev1.ContainerPort{
			{Name: "heddle-stats", ContainerPort: heddlev1alpha1.PortStats, Protocol: corev1.ProtocolTCP},
			{Name: "heddle-health", ContainerPort: heddlev1alpha1.PortHealth, Protocol: corev1.ProtocolTCP},
		},
		Resources: opts.resources(*cfg.Resources),
		SecurityContext: &corev1.SecurityContext{
			RunAsUser:                ptr(int64(heddlev1alpha1.ProxyUID)),
			RunAsGroup:               ptr(int64(heddlev1alpha1.ProxyUID)),
			RunAsNonRoot:             ptr(true),
			Privileged:               ptr(false),
			AllowPrivilegeEscalation: ptr(false),
			ReadOnlyRootFilesystem:   ptr(true),
			Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			SeccompProfile:           &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		StartupProbe:             readyProbe(1, startSeconds),
		ReadinessProbe:           readyProbe(5, 3),
		TerminationMessagePath:   corev1.TerminationMessagePathDefault,
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
		VolumeMounts:             mounts(),
	}
	if delay := stopDelay(cfg, grace); cfg.SleepAction && delay > 0 {
		c.Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{
			Sleep: &corev1.SleepAction{Seconds: delay},
		}}
	}
	return c
}

// stopDelay is how long the proxy waits before it stops, in seconds: less than
// the pod's grace period, which the API server insists on. Zero is not at all.
func stopDelay(cfg Config, grace *int64) int64 {
	delay := int64(cfg.StopDelay.Seconds())
	if grace != nil {
		delay = min(delay, *grace-1)
	}
	return max(delay, 0)
}

func readyProbe(period, failures int32) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler:     httpGet(bootstrap.ReadyPath),
		TimeoutSeconds:   2,
		PeriodSeconds:    period,
		SuccessThreshold: 1,
		FailureThreshold: failures,
	}
}

// httpGet asks the sidecar's health listener.
func httpGet(path string) corev1.ProbeHandler {
	return corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{
		Path:   path,
		Port:   intstr.FromInt32(heddlev1alpha1.PortHealth),
		Scheme: corev1.URISchemeHTTP,
	}}
}

// apiTokenDir is where the API server mounts the pod's general token into
// every container that has nothing there.
const apiTokenDir = "/var/run/secrets/kubernetes.io/serviceaccount"

// mounts shows our containers what is theirs. Mounting the identity a second
// time keeps the pod's token for the API server out of them, since they have
// no use for it.
func mounts() []corev1.VolumeMount {
	return []corev1.VolumeMount{
		{Name: heddlev1alpha1.VolumeIdentity, MountPath: apiTokenDir, ReadOnly: true},
		{Name: heddlev1alpha1.VolumeState, MountPath: heddlev1alpha1.StateDir},
		{Name: heddlev1alpha1.VolumeIdentity, MountPath: heddlev1alpha1.IdentityDir, ReadOnly: true},
	}
}

// volumes are never mounted into the app's containers: the state holds the
// key and Envoy's admin socket.
func volumes() []corev1.Volume {
	return []corev1.Volume{
		{
			Name: heddlev1alpha1.VolumeState,
			VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{
				Medium:    corev1.StorageMediumMemory,
				SizeLimit: ptr(resource.MustParse("4Mi")),
			}},
		},
		{
			Name: heddlev1alpha1.VolumeIdentity,
			VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
				DefaultMode: ptr(int32(0o644)),
				Sources: []corev1.VolumeProjection{
					{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{
						Audience:          heddlev1alpha1.TokenAudience,
						ExpirationSeconds: ptr(int64(3600)),
						Path:              "token",
					}},
					{ConfigMap: &corev1.ConfigMapProjection{
						LocalObjectReference: corev1.LocalObjectReference{Name: heddlev1alpha1.CAConfigMap},
						Items:                []corev1.KeyToPath{{Key: heddlev1alpha1.CAKey, Path: heddlev1alpha1.CAKey}},
					}},
				},
			}},
		},
	}
}

// withVolume puts v into list by name; one that is there already is kept or
// replaced.
func withVolume(list []corev1.Volume, v corev1.Volume, keep bool) []corev1.Volume {
	i := slices.IndexFunc(list, func(have corev1.Volume) bool { return have.Name == v.Name })
	switch {
	case i < 0:
		return append(list, v)
	case !keep:
		list[i] = v
	}
	return list
}

// settingsOf gathers what heddle-init can't learn from the downward API.
func settingsOf(cfg Config, opts options, pod *corev1.Pod, probePorts []uint16) bootstrap.Settings {
	limits := opts.resources(*cfg.Resources).Limits
	if proxy, _ := take(pod.Spec.InitContainers, heddlev1alpha1.ContainerProxy); proxy != nil {
		limits = proxy.Resources.Limits
	}
	return bootstrap.Settings{
		XDSAddress:       cfg.XDSAddress,
		XDSServerName:    cfg.XDSServerName,
		TrustDomain:      cfg.TrustDomain,
		TCPProbePorts:    probePorts,
		MemoryLimitBytes: limits.Memory().Value(),
		Exclude:          opts.exclude,
	}
}

func setEnv(c *corev1.Container, settings string) {
	env := corev1.EnvVar{Name: bootstrap.EnvSettings, Value: settings}
	i := slices.IndexFunc(c.Env, func(e corev1.EnvVar) bool { return e.Name == env.Name })
	if i < 0 {
		c.Env = append(c.Env, env)
		return
	}
	c.Env[i] = env
}

// fieldEnv names the API version too, as the API server would, so that a
// second pass finds what the first one wrote.
func fieldEnv(name, path string) corev1.EnvVar {
	return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{
		FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: path},
	}}
}

func ptr[T any](v T) *T { return &v }
