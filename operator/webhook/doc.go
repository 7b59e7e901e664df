// Package webhook holds the endpoints that the API server calls about Heddle's
// own resources. They are thin: what an object becomes in another version is
// decided in crds/smi/convert.
//
//	API server ──ConversionReview──▶ Conversion ──▶ convert.Convert
//
// The operator itself reads and writes the stored versions only, so it never
// waits for its own endpoint.
package webhook
