/**
 * Dependencies point inwards: doors, drivers, controller, node, cli -> placement -> ledger -> model.
 * Every rule says in its comment what to do instead. `test/tooling/layers.test.ts` plants one violation of each rule.
 *
 * The parser is swc because dependency-cruiser 17 cannot use TypeScript 7 (docs/decisions/0003-tools.md).
 */

/** The parts of the program that `from` may use, besides itself; everything else under src/ is refused. */
function onlyUses(from, parts, comment) {
  const allowed = [from, ...parts].join('|')
  return {
    name: `${from}-uses-only-${parts.length === 0 ? 'itself' : parts.join('-and-')}`,
    comment,
    severity: 'error',
    from: { path: `^src/${from}/` },
    to: { path: '^src/', pathNot: `^src/(${allowed})(/|$)` },
  }
}

module.exports = {
  forbidden: [
    onlyUses('model', [], 'The model is the words of the program; it knows no other part.'),
    onlyUses('ledger', ['model'], 'The ledger is pure; whatever else it needs is passed in.'),
    onlyUses('placement', ['ledger', 'model'], 'Placement is pure; whatever else it needs is passed in.'),
    onlyUses('store', ['model'], 'A store keeps records and knows nothing of their meaning.'),
    onlyUses(
      'programs',
      ['model', 'node/filesystems.ts'],
      'Programs run commands; who wants them run is not their matter.',
    ),
    onlyUses('csi', ['model'], "The words and the protocol of CSI; what a call does is its door's or driver's matter."),
    onlyUses('docker-plugin', ['model'], 'The protocol of Docker volume plugins; whoever speaks it decides what for.'),
    onlyUses(
      'drivers',
      ['csi', 'docker-plugin', 'model', 'programs'],
      'A driver is one file with one interface; it knows only storage.',
    ),
    onlyUses('mesos', ['model'], 'The words and protocols of Mesos; who uses them, and for what, is not their matter.'),
    {
      name: 'pure-parts-have-no-builtins',
      comment: 'No I/O, clock or randomness in model, ledger and placement: pass values in.',
      severity: 'error',
      from: { path: '^src/(model|ledger|placement)/' },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'model-uses-no-package-but-typebox',
      comment: 'The model may describe its types with typebox and nothing else.',
      severity: 'error',
      from: { path: '^src/model/' },
      to: { path: 'node_modules/', pathNot: 'node_modules/typebox/' },
    },
    {
      name: 'ledger-and-placement-use-no-package',
      comment: 'Pure code with plain data needs no package.',
      severity: 'error',
      from: { path: '^src/(ledger|placement)/' },
      to: { path: 'node_modules/' },
    },
    {
      name: 'controller-never-touches-storage',
      comment: 'Every storage call runs on a node. Send the node work instead.',
      severity: 'error',
      from: { path: '^src/controller/' },
      to: { path: '^src/(drivers|programs|node|doors|simulate|cli)/' },
    },
    {
      name: 'doors-know-no-controller',
      comment: 'A door translates a protocol to commands; it speaks to the controller through an interface.',
      severity: 'error',
      from: { path: '^src/doors/' },
      to: { path: '^src/(controller|simulate|cli)/' },
    },
    {
      name: 'nobody-uses-the-outermost-parts',
      comment: 'cli and simulate put the others together; only they may use them.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(cli|simulate)/' },
      to: { path: '^src/(cli|simulate)/' },
    },
    {
      name: 'child-processes-only-in-programs',
      comment: 'One audited place starts programs: argument vectors, deadlines, bounded output.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/programs/' },
      to: { path: '^(node:)?(child_process|cluster)$' },
    },
    {
      name: 'no-cycles',
      comment: 'Also among types: move the shared type inwards.',
      severity: 'error',
      from: { path: '^src/' },
      to: { circular: true },
    },
    {
      name: 'no-unresolvable',
      comment: 'The file or package is not there.',
      severity: 'error',
      from: { path: '^src/' },
      to: { couldNotResolve: true },
    },
    {
      name: 'no-development-packages',
      comment: 'The program as installed has only its dependencies.',
      severity: 'error',
      from: { path: '^src/' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'] },
    },
    {
      name: 'no-tests-in-the-program',
      comment: 'src/ may not use test/, bench/ or scripts/.',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^(test|bench|scripts)/' },
    },
  ],
  options: {
    parser: 'swc',
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default'],
      extensions: ['.ts', '.js', '.json'],
    },
  },
}
