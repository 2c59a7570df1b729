package libraries

// The wrapper is not used here but tested by its own tests: this keeps its
// version in go.mod.
import _ "github.com/hashicorp/go-kms-wrapping/wrappers/azurekeyvault/v2"
