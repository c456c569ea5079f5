import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { aclRules, isAllowed, readAcls } from '../../src/mesos/acl-rules.ts'
import { coveredBy, mergeAcls, requiredAcls } from '../../src/mesos/acls.ts'
import { printMessage } from '../support/mesos/flags-view.ts'

const required = requiredAcls({ principal: 'holdfast', roles: ['web', 'ads', 'ads'], createAllowedRoles: ['web'] })
const open = (acls: unknown) => coveredBy(aclRules(acls), required)
const nobody = { type: 'NONE' }

describe('what a master must forbid', () => {
  test('names the principal and the roles, and those below them', () => {
    expect(required).toEqual({
      permissive: true,
      destroy_volumes: [{ principals: nobody, creator_principals: { values: ['holdfast'] } }],
      unreserve_resources: [{ principals: nobody, reserver_principals: { values: ['holdfast'] } }],
      reserve_resources: [{ principals: nobody, roles: { values: ['ads', 'ads/%', 'web', 'web/%'] } }],
      create_volumes: [{ principals: nobody, roles: { values: ['ads'] } }],
    })
  })

  test('has no rule without objects, which would match nothing', () => {
    expect(Object.keys(requiredAcls({ principal: 'p', roles: [] }))).toEqual([
      'permissive',
      'destroy_volumes',
      'unreserve_resources',
    ])
  })

  test.each([
    [{ principal: '', roles: [] }, 'the principal is empty'],
    [{ principal: 'p', roles: ['*'] }, 'role "*"'],
    [{ principal: 'p', roles: ['a'], createAllowedRoles: ['b'] }, '"b" may create volumes, but is none of the roles'],
    [{ principal: 'p', roles: ['a'], reserveAllowedRoles: ['b'] }, '"b" may reserve, but is none of the roles'],
  ])('refuses %j', (wishes, says) => {
    expect(() => requiredAcls(wishes)).toThrow(says)
  })
})

describe('a request is decided as Mesos does', () => {
  const rule = (principals: object, roles: object) => ({ reserve_resources: [{ principals, roles }] })
  const may = (acls: object, principal: string | undefined, role: string) =>
    isAllowed(aclRules(acls), 'reserve_resources', principal, role)

  test('by the first rule that matches', () => {
    const [allow, deny] = [
      { principals: { values: ['ops'] }, roles: { type: 'ANY' } },
      { principals: nobody, roles: { values: ['ads'] } },
    ]
    expect(may({ reserve_resources: [allow, deny] }, 'ops', 'ads')).toBe(true)
    expect(may({ reserve_resources: [deny, allow] }, 'ops', 'ads')).toBe(false)
    expect(may({ reserve_resources: [allow, deny] }, 'else', 'ads')).toBe(false)
  })

  test('by permissive where no rule matches', () => {
    expect(may({}, 'x', 'ads')).toBe(true)
    expect(may({ permissive: false }, 'x', 'ads')).toBe(false)
    expect(may(rule(nobody, { values: ['web'] }), 'x', 'ads')).toBe(true)
  })

  test('who is nobody is only meant by ANY and NONE', () => {
    expect(may({ ...rule({ type: 'ANY' }, { type: 'ANY' }), permissive: false }, undefined, 'ads')).toBe(true)
    expect(may({ ...rule({ values: ['a'] }, { type: 'ANY' }), permissive: false }, undefined, 'ads')).toBe(false)
    expect(may(rule(nobody, { type: 'ANY' }), undefined, 'ads')).toBe(false)
    expect(may(rule({ type: 'ANY' }, nobody), undefined, 'ads')).toBe(false)
  })

  test('with all roles below one, and not that one itself', () => {
    const acls = rule(nobody, { values: ['ads/%'] })
    expect(['ads', 'ads/web', 'ads/web/a', 'adsx'].map((role) => may(acls, 'x', role))).toEqual([
      true,
      false,
      false,
      true,
    ])
  })
})

describe('what is missing', () => {
  test('is nothing with the rules themselves', () => {
    expect(open(required)).toEqual([])
  })

  test('is everything with none', () => {
    expect(open({})).toEqual([
      'everybody may destroy volumes that the principal "holdfast" created',
      'everybody may unreserve what the principal "holdfast" reserved',
      'everybody may reserve resources for the role "ads"',
      'everybody may reserve resources for roles below "ads"',
      'everybody may reserve resources for the role "web"',
      'everybody may reserve resources for roles below "web"',
      'everybody may create persistent volumes for the role "ads"',
    ])
  })

  test('is nothing with ACLs that forbid it in another way', () => {
    expect(open({ permissive: false })).toEqual([])
    const all = { principals: nobody, roles: { type: 'ANY' } }
    const acls = {
      destroy_volumes: [{ principals: nobody, creator_principals: { type: 'ANY' } }],
      unreserve_resources: [{ principals: { type: 'ANY' }, reserver_principals: nobody }],
      reserve_resources: [all],
      create_volumes: [all],
    }
    expect(open(acls)).toEqual([])
  })

  test('is one principal that an earlier rule lets through', () => {
    const ops = { principals: { values: ['ops'] }, creator_principals: { type: 'ANY' } }
    const acls = { ...required, destroy_volumes: [ops, ...required.destroy_volumes] }
    expect(open(acls)).toEqual(['the principal "ops" may destroy volumes that the principal "holdfast" created'])
  })

  test('is whoever a rule names, and everybody where it says ANY', () => {
    const { unreserve_resources: rules } = required
    const rule = (principals: object) => ({ principals, reserver_principals: { values: ['holdfast'] } })
    expect(open({ ...required, unreserve_resources: [rule({ type: 'ANY' }), ...rules] })).toEqual([
      'everybody may unreserve what the principal "holdfast" reserved',
    ])
    expect(open({ ...required, unreserve_resources: [rule({ values: ['a', 'b'] }), ...rules] })).toEqual([
      'the principal "a" and the principal "b" may unreserve what the principal "holdfast" reserved',
    ])
  })

  test('is a role below, that an earlier rule lets through', () => {
    const below = { principals: { type: 'ANY' }, roles: { values: ['ads/web/%'] } }
    const acls = { ...required, reserve_resources: [below, ...(required.reserve_resources ?? [])] }
    expect(open(acls)).toEqual(['everybody may reserve resources for roles below "ads"'])
  })

  test('is what the rules of another principal leave open', () => {
    const other = requiredAcls({ principal: 'other', roles: ['ads', 'web'] })
    expect(open(other)).toHaveLength(2)
  })
})

describe('merging into a file', () => {
  const theirs = {
    permissive: false,
    run_tasks: [{ principals: { type: 'ANY' }, users: { values: ['root'] } }],
    reserve_resources: [{ principals: { values: ['ops'] }, roles: { type: 'ANY' } }],
    destroy_volumes: [{ principals: { type: 'ANY' }, creator_principals: { type: 'ANY' } }],
  }

  test('puts our rules first and keeps all others', () => {
    const merged = mergeAcls(theirs, required)
    expect(merged).toEqual({
      ...theirs,
      reserve_resources: [...(required.reserve_resources ?? []), ...theirs.reserve_resources],
      destroy_volumes: [...required.destroy_volumes, ...theirs.destroy_volumes],
      unreserve_resources: required.unreserve_resources,
      create_volumes: required.create_volumes,
    })
    expect(open(theirs)).not.toEqual([])
    expect(open(merged)).toEqual([])
  })

  test('twice changes nothing, and without a file it is ours', () => {
    const once = mergeAcls(theirs, required)
    expect(mergeAcls(once, required)).toEqual(once)
    expect(mergeAcls(undefined, required)).toEqual(required)
  })

  test('takes our rules to the front where they come too late, also when they are written otherwise', () => {
    const rewritten = { creator_principals: { type: 'SOME', values: ['holdfast'] }, principals: nobody }
    const merged = mergeAcls({ destroy_volumes: [...theirs.destroy_volumes, rewritten] }, required)
    expect(merged.destroy_volumes).toEqual([...required.destroy_volumes, ...theirs.destroy_volumes])
  })

  test.each<[string, unknown, string]>([
    ['a list', [], 'should be a JSON object'],
    ['text', 'x', 'should be a JSON object'],
    ['an action that is no list', { run_tasks: {} }, '"run_tasks" should be a list'],
    ['our action that is no list', { destroy_volumes: {} }, 'destroy_volumes should be a list'],
    ['a rule without a side', { destroy_volumes: [{ principals: nobody }] }, 'creator_principals is missing'],
    [
      'a rule with more',
      { create_volumes: [{ principals: nobody, roles: nobody, users: nobody }] },
      'create_volumes[0] has "users"',
    ],
    [
      'a type of its own',
      { create_volumes: [{ principals: { type: 'ALL' }, roles: nobody }] },
      'principals.type is "ALL"',
    ],
    ['a number', { create_volumes: [{ principals: { values: [1] }, roles: nobody }] }, 'should be a list of texts'],
    ['permissive in words', { permissive: 'no' }, 'permissive is "no"'],
  ])('refuses %s', (_what, existing, says) => {
    expect(() => mergeAcls(existing, required)).toThrow(expect.objectContaining({ code: 'invalid_option' }))
    expect(() => mergeAcls(existing, required)).toThrow(says)
  })

  test('protects whatever the file said', () => {
    const entity = fc.oneof(
      fc.constantFrom({ type: 'ANY' }, nobody),
      fc
        .uniqueArray(fc.constantFrom('holdfast', 'ops', 'ads', 'web', 'ads/web', 'ads/%', 'web/a/%'), { minLength: 1 })
        .map((values) => ({ values })),
    )
    const rules = (objects: string) =>
      fc.array(
        fc.tuple(entity, entity).map(([principals, each]) => ({ principals, [objects]: each })),
        { maxLength: 4 },
      )
    const file = fc.record(
      {
        permissive: fc.boolean(),
        destroy_volumes: rules('creator_principals'),
        unreserve_resources: rules('reserver_principals'),
        reserve_resources: rules('roles'),
        create_volumes: rules('roles'),
      },
      { requiredKeys: [] },
    )
    fc.assert(
      fc.property(file, (existing) => {
        const merged = mergeAcls(existing, required)
        expect(open(merged)).toEqual([])
        expect(mergeAcls(merged, required)).toEqual(merged)
        // and a master shows them so that they are read back as they are
        expect(readAcls(printMessage(merged)).rules).toEqual(aclRules(merged).rules)
      }),
    )
  })
})

describe('the text form in which a master shows its ACLs', () => {
  test('is read like the JSON', () => {
    const text = `
      # a comment
      permissive: false
      destroy_volumes { principals { type: NONE } creator_principals { values: "hold\\"fast" values: 'b\\303\\266' } }
      destroy_volumes: < principals: < type: ANY >, creator_principals: < type: ANY >; >
      run_tasks { principals { type: ANY } users { values: "root" } }
    `
    const acls = readAcls(text)
    expect(acls.permissive).toBe(false)
    expect(acls.actions).toEqual(['destroy_volumes', 'run_tasks'])
    expect(acls.rules.destroy_volumes).toEqual([
      { principals: { type: 'NONE', values: [] }, objects: { type: 'SOME', values: ['hold"fast', 'bö'] } },
      { principals: { type: 'ANY', values: [] }, objects: { type: 'ANY', values: [] } },
    ])
  })

  test('and JSON are told apart', () => {
    expect(readAcls(` ${JSON.stringify(required)}`)).toEqual(aclRules(required))
    expect(readAcls('').permissive).toBe(true)
  })

  test.each([
    ['destroy_volumes {', 'cannot be read'],
    ['destroy_volumes { principals } }', 'is where ":" or "{" should be'],
    ['}', 'is no name of a field'],
    ['permissive: 17', 'cannot be read'],
    ['permissive: :', '":" is no value'],
    ['destroy_volumes: true', 'destroy_volumes[0] should be an object'],
    ['a {'.repeat(20), 'nested too deep'],
    ['{"permissive": tru', 'are no JSON'],
  ])('%s is refused', (text, says) => {
    expect(() => readAcls(text)).toThrow(expect.objectContaining({ code: 'invalid_option' }))
    expect(() => readAcls(text)).toThrow(says)
  })

  test('any text ends in rules or in an error of ours', () => {
    const words = ['a', '{', '}', ':', 'permissive', '"x"', 'true', '\\', '"', '<', '>', 'create_volumes', 'roles']
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.constantFrom(...words), fc.string()), { maxLength: 12 }), (parts) => {
        try {
          readAcls(parts.join(' '))
        } catch (thrown) {
          expect(thrown).toMatchObject({ code: 'invalid_option' })
        }
      }),
    )
  })
})
