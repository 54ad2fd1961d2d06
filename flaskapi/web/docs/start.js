// Shows openapi.json. Nothing is asked of other hosts: no validator, and no key is kept.
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  defaultModelsExpandDepth: -1,
  validatorUrl: null,
  onComplete: () => document.documentElement.setAttribute("data-ready", ""),
});
