package keyvault

// certificateRoutes are the rows of Certificates in the specification.
var certificateRoutes = []Route{}
