/**
 * What every driver must do, as tests. They are shipped for authors of other drivers too: a driver's own test file calls
 * `driverContract` with a way to make storage for it, as `loop-contract.test.ts` does. What a driver cannot do is read
 * from its own capabilities, and tested to be refused with the right code.
 */
import { afterEach, beforeEach, describe } from 'vitest'
import { contentTests, limitTests } from './contract-content.ts'
import { markerTests, objectTests } from './contract-objects.ts'
import { type DriverFixture, Subject } from './contract-subject.ts'

export type { DriverFixture } from './contract-subject.ts'
export { expectCode } from './contract-subject.ts'

export function driverContract(name: string, makeFixture: () => Promise<DriverFixture>): void {
  withSubject(`the driver contract: ${name}`, makeFixture, (subject) => {
    describe('the marker', () => markerTests(subject))
    describe('with a marked pool', () => {
      beforeEach(() => subject().mark())
      objectTests(subject)
      contentTests(subject)
    })
  })
}

/** What else is asked of storage that can be made read-only and filled, or one of the two. */
export function driverLimitsContract(name: string, makeFixture: () => Promise<DriverFixture>): void {
  withSubject(`the driver contract at the limits: ${name}`, makeFixture, (subject) => {
    beforeEach(() => subject().mark())
    limitTests(subject)
  })
}

function withSubject(title: string, makeFixture: () => Promise<DriverFixture>, body: (s: () => Subject) => void): void {
  describe(title, () => {
    let subject: Subject | undefined
    beforeEach(async () => {
      subject = new Subject(await makeFixture())
    })
    afterEach(async () => {
      const { fixture } = subject ?? {}
      subject = undefined
      await fixture?.dispose()
    })
    body(() => {
      if (subject === undefined) throw new Error('there is no storage')
      return subject
    })
  })
}
