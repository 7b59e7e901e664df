// Package inject puts the sidecar into pods: a pure function over a Pod and
// the admission handler that serves it.
//
//	AdmissionRequest -> Handler -> Inject(pod, namespace, Config) -> JSON patch + warnings
//
// Inject adds heddle-init as the first init container and heddle-proxy as a
// native sidecar right behind it, so that everything else in the pod,
// init containers included, starts with the mesh in place and the sidecar
// ends after the app. tcpSocket probes are pointed at the sidecar's health
// listener, because behind a redirected port the kernel would accept any
// connection; all other probes stay as they are.
//
// Applying Inject to its own result changes nothing.
package inject
