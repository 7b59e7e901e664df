// Package webhook holds the endpoints that the API server calls about Heddle's
// own resources. They are thin: what an object becomes in another version is
// decided in crds/smi/convert, what is wrong with it in crds/smi/validate.
//
//	API server ──ConversionReview──▶ Conversion ──▶ convert.Convert
//	           ──AdmissionReview───▶ Validation ──▶ validate.JSON
//
// The operator itself reads and writes the stored versions only, so it never
// waits for its own conversion; and validation is done without where there is
// no operator.
package webhook
